/** The block about the embedded database runs: a database that is made anew takes its time. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  await service.stop();
  await pool.end();
});
