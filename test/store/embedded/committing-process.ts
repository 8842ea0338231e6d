/** A process that opens the embedded database, commits numbers and says each one when it is acknowledged. */

import { Client } from 'pg';
import { openEmbeddedPostgres } from '../../../src/store/embedded/embedded-postgres.ts';

const [, , folder, from] = process.argv;
process.send?.('opening');
try {
  const database = await openEmbeddedPostgres({ folder: folder! });
  const client = new Client(database.poolConfig);
  await client.connect();
  await client.query('create table if not exists acknowledged (n int primary key, filler text)');
  process.send?.('opened');
  if (from !== undefined) await commitFrom(client, Number(from));
} catch (error) {
  process.send?.(`${(error as Error).name}: ${(error as Error).message}`);
}

async function commitFrom(client: Client, first: number): Promise<never> {
  for (let n = first; ; n += 1) {
    await client.query('begin');
    await client.query("insert into acknowledged values ($1, repeat('x', 500))", [n]);
    await client.query('commit');
    process.send?.(n);
  }
}
