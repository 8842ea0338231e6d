/** The embedded database as a pool of the user's own, which the library shares. */

import { createIdempotency, embeddedPool } from 'graphql-idempotency';
import type { Idempotency } from 'graphql-idempotency';
import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { removeFolder, temporaryFolder } from '../../support/janitor.ts';

let folder: string;
let pool: Pool;
let idempotency: Idempotency<object>;

beforeAll(async () => {
  folder = await temporaryFolder('embedded-pool');
  pool = await embeddedPool({ folder });
  idempotency = createIdempotency<object>({
    scope: () => 'anybody',
    postgres: pool,
    redis: false,
    acquireTimeout: 1000,
    logger: { info() {}, warn() {}, error() {} },
  });
}, 120_000);

afterAll(async () => {
  await pool.end().catch(() => {});
  removeFolder(folder);
});

describe('the embedded pool', () => {
  it('is migrated without being asked', async () => {
    await idempotency.open();
    const { rows } = await pool.query('select count(*)::int as records from graphql_idempotency.record');
    expect(rows).toEqual([{ records: 0 }]);
  });

  it('serves upkeep, whose connection elsewhere is another one than that of attempts and queries', async () => {
    await pool.query('create table notes (body text)');
    expect(await idempotency.sweep()).toEqual({ stripped: 0, deleted: 0 });
    expect(pool.totalCount).toBe(1);
  });

  it('gives everybody a turn', async () => {
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, (_, index) =>
        pool.query('insert into notes values ($1)', [String(index)]),
      ),
      idempotency.sweep(),
    ]);
    expect(answers).toHaveLength(21);
  });

  it('stays open when the library closes', async () => {
    await idempotency.close();
    expect(await pool.query('select from notes')).toMatchObject({ rowCount: 20 });
  });

  it('lets the folder go when it ends, and finds everything there again', async () => {
    await expect(embeddedPool({ folder })).rejects.toThrow('in use by this process');
    await pool.end();
    pool = await embeddedPool({ folder });
    expect(await pool.query('select from notes')).toMatchObject({ rowCount: 20 });
    await new Promise<void>((ended) => pool.end(ended));
    await expect(pool.query('select 1')).rejects.toThrow('after calling end');
  });
});
