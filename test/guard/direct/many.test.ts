/** Many calls at once on few connections. */

import { expect, test } from 'vitest';
import { codeOf, startCalls } from './calls.ts';

const COUNT = 1000;

test('a thousand calls with keys of their own, on five connections, are executed once each', async () => {
  const calls = await startCalls({ poolSize: 5, acquireTimeout: 60_000 });
  const numbers = Array.from({ length: COUNT }, (_, n) => n);
  const all = (): Promise<unknown[]> =>
    Promise.all(
      numbers.map((n) =>
        calls.idempotency.guard(
          { scope: `user ${n % 7}`, key: `key-${n}`, payload: { n } },
          async ({ tx, key }) => {
            await tx.query(`select set_config('test.key', $1, true)`, [key]);
            const { rows } = await tx.query<{ key: string }>(`select current_setting('test.key') as key`);
            await calls.write(tx, rows[0]!.key);
            return rows[0]!.key;
          },
        ),
      ),
    );
  expect(await all()).toEqual(numbers.map((n) => ({ outcome: 'executed', value: `key-${n}` })));
  expect((await calls.effects()).toSorted()).toEqual(numbers.map((n) => `key-${n}`).toSorted());
  expect(await all()).toEqual(numbers.map((n) => ({ outcome: 'replayed', value: `key-${n}` })));
  expect(await calls.effects()).toHaveLength(COUNT);
  const mismatch = calls.idempotency.guard(
    { scope: 'user 1', key: 'key-1', payload: { n: 2 } },
    () => 'never',
  );
  expect(await codeOf(mismatch)).toBe('IDEMPOTENCY_KEY_REUSED');
}, 120_000);
