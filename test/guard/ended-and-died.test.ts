/** Transactions that were ended underneath, whatever happens then. */

import { beforeAll, expect, test } from 'vitest';
import { codeOf, commitUnseen, startSums } from './sums.ts';
import type { Sums } from './sums.ts';

let sums: Sums;
beforeAll(async () => {
  sums = await startSums();
});

test('without a key, an error after an unseen COMMIT does not say that nothing happened', async () => {
  sums.during = async (info, n) => {
    await sums.write(info, n);
    await commitUnseen(sums, info);
    throw Object.assign(new Error('deadlock'), { code: '40P01', severity: 'ERROR' });
  };
  expect(codeOf(await sums.loose())).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await sums.rows()).toEqual([1]);
});

test('a session that dies after an unseen COMMIT leaves a record: a retry does not do it again', async () => {
  await sums.sql('truncate sums');
  sums.during = async (info, n) => {
    await sums.write(info, n);
    await commitUnseen(sums, info);
    const { tx } = sums.idempotency.current(info);
    await tx.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {});
  };
  const first = await sums.add('k');
  sums.during = sums.write;
  const second = await sums.add('k');
  expect([codeOf(first), codeOf(second)]).toEqual([
    'IDEMPOTENCY_TRANSACTION_BROKEN',
    'IDEMPOTENCY_TRANSACTION_BROKEN',
  ]);
  expect(await sums.rows()).toEqual([1]);
});
