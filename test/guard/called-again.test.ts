/** Wrappers outside the guard that call it again for the same field. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { deferred, within } from '../support/signal.ts';
import { startSums } from './sums.ts';
import type { Sums } from './sums.ts';

let sums: Sums;
let unwrap: () => void;
beforeEach(async () => {
  sums = await startSums();
  const field = sums.schema.getMutationType()!.getFields()['add']!;
  const guarded = field.resolve!;
  field.resolve = async (...call) => {
    try {
      return await guarded(...call);
    } catch {
      return guarded(...call);
    }
  };
  unwrap = () => {
    field.resolve = guarded;
  };
});
afterEach(() => unwrap());

test('each call is guarded: the second one commits its writes with a record', async () => {
  sums.during = (info, n) => {
    if (sums.runs() === 1) throw new Error('flaky');
    return sums.write(info, n);
  };
  expect((await sums.add('k')).data).toEqual({ add: { n: 1 } });
  expect(await sums.rows()).toEqual([1]);
  const { rows } = await sums.sql('select count(*)::int as n from graphql_idempotency.record');
  expect(rows).toEqual([{ n: 1 }]);
});

test('what an attempt left running writes nothing through the next one', async () => {
  const [secondRuns, firstIsDone] = [deferred(), deferred()];
  sums.during = async (info, n) => {
    const { tx } = sums.idempotency.current(info);
    if (sums.runs() === 1) {
      await tx.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {});
      await secondRuns.promise;
      const late = sums.idempotency.current(info).tx.query('insert into sums values (99)');
      await late.catch(() => {});
      firstIsDone.resolve();
      return;
    }
    await sums.write(info, n);
    secondRuns.resolve();
    await firstIsDone.promise;
  };
  expect((await within(sums.add('k'))).data).toEqual({ add: { n: 1 } });
  expect(await sums.rows()).toEqual([1]);
});
