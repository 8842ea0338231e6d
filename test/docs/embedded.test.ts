/** The block about the embedded database runs: a database that is made anew takes its time. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApolloServer } from '@apollo/server';
import type { GraphQLResolveInfo } from 'graphql';
import type { Idempotency } from 'graphql-idempotency';
import type { Pool } from 'pg';
import { afterAll, expect, test, vi } from 'vitest';
import { codeBlocks } from './documents.ts';
import { writeModules } from './modules.ts';
import type { Context } from './prelude.ts';
import { serve } from './serve.ts';

const modules = writeModules();
const folder = mkdtempSync(join(tmpdir(), 'docs-embedded-'));

afterAll(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  modules.remove();
  rmSync(folder, { recursive: true, force: true });
});

test('embedded.ts: records and tables of one’s own are in one folder', { timeout: 120_000 }, async () => {
  for (const name of ['DATABASE_URL', 'REDIS_URL']) vi.stubEnv(name, '');
  vi.spyOn(console, 'info').mockReturnValue();
  const cwd = vi.spyOn(process, 'cwd').mockReturnValue(folder);
  const block = await modules.load<{ idempotency: Idempotency<Context>; pool: Pool }>('embedded.ts');
  cwd.mockRestore();
  const { idempotency, pool } = block;
  await pool.query(codeBlocks('sql', 'README.md')[0]!.code);

  const charge = async (_: unknown, __: object, ___: Context, info: GraphQLResolveInfo): Promise<number> => {
    const { tx } = idempotency.current(info);
    await tx.query("insert into payments (user_id, amount_cents) values ('alice', 5)");
    return 5;
  };
  const service = await serve(idempotency, { charge });
  expect(await service.send('embedded')).toMatchObject({ charge: 5, outcome: 'executed' });
  expect(await service.send('embedded')).toMatchObject({ charge: 5, outcome: 'replayed' });
  expect((await pool.query('select 1 from payments')).rowCount).toBe(1);

  await workSideBySide(idempotency);
  await service.stop();
  await pool.end();
});

/** Two attempts in LEASE mode, each of which ends only when the other has begun: neither holds the one connection. */
async function workSideBySide(idempotency: Idempotency<Context>): Promise<void> {
  const begun: Record<string, () => void> = {};
  const others = {
    left: new Promise<void>((resolve) => (begun['right'] = resolve)),
    right: new Promise<void>((resolve) => (begun['left'] = resolve)),
  };
  const server = new ApolloServer<Context>({
    typeDefs: [
      idempotency.typeDefs,
      `type Query { ping: String }
       type Mutation { meet(side: String!): String @idempotent(mode: LEASE, inFlight: WAIT) }`,
    ],
    resolvers: {
      Mutation: {
        meet(_: unknown, { side }: { side: 'left' | 'right' }, __: Context, info: GraphQLResolveInfo) {
          begun[side]!();
          return idempotency.current(info).step('meet', () => others[side].then(() => side));
        },
      },
    },
    plugins: [idempotency.plugin()],
  });
  await server.start();
  const send = async (side: string): Promise<unknown> => {
    const query = `mutation { meet(side: "${side}") @idempotent(key: "${side}") }`;
    return (await server.executeOperation({ query }, { contextValue: { user: 'alice' } })).body;
  };
  const told = (meet: string, outcome: string) => ({
    singleResult: { data: { meet }, extensions: { idempotency: { meet: { outcome } } } },
  });
  // The second one with the key of the first waits for its end.
  const [left, again, right] = await Promise.all([send('left'), send('left'), send('right')]);
  expect(left).toMatchObject(told('left', 'executed'));
  expect(again).toMatchObject(told('left', 'replayed'));
  expect(right).toMatchObject(told('right', 'executed'));
  await server.stop();
}
