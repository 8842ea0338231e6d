/** A lease that is lost is forgotten: a process that runs for long would keep the results of its steps for ever. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, expect, test } from 'vitest';
import { deferred, eventually, within } from '../../support/signal.ts';
import { startLeases } from './leases.ts';
import type { Call, Leases } from './leases.ts';

let leases: Leases;
let collect: () => void;
beforeAll(async () => {
  leases = await startLeases({ lease: 20_000, renewInterval: 100 });
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as () => void;
});

/** Loses the lease of a key to another one while its resolver does something; returns its signal. */
async function lose(key: string, act: (call: Call) => unknown): Promise<WeakRef<AbortSignal>> {
  const [started, taken] = [deferred<WeakRef<AbortSignal>>(), deferred()];
  leases.during = async (call) => {
    started.resolve(new WeakRef(call.signal));
    await taken.promise;
    return act(call);
  };
  const answer = leases.call('refuse', key);
  const signal = await started.promise;
  await leases.takeOver(key);
  taken.resolve();
  expect((await within(answer)).code).toBe('IDEMPOTENCY_LEASE_LOST');
  leases.during = () => 'other';
  // Errors keep what their stack has seen.
  leases.log.length = 0;
  return signal;
}

test.each<readonly [string, (call: Call) => unknown]>([
  ['renews', () => deferred().promise],
  ['records-a-step', ({ step }) => step('a', () => 1)],
  ['commits-a-step', ({ step }) => step.transaction('a', () => 1)],
])('by whoever %s', async (key, act) => {
  const signal = await lose(key, act);
  await eventually(
    () => {
      collect();
      return signal.deref() === undefined;
    },
    { what: 'the collection of what was lost' },
  );
});
