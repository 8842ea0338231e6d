/** A process that stood still for longer than its lease, and goes on: nothing that it begins now may count on it. */

import diagnostics from 'node:diagnostics_channel';
import { beforeAll, expect, test } from 'vitest';
import { startLeases } from './leases.ts';
import type { Leases } from './leases.ts';

const LEASE_MS = 1200;

let leases: Leases;
beforeAll(async () => {
  leases = await startLeases({ lease: LEASE_MS, claimTimeout: 1000 });
});

/** Blocks the event loop, as SIGSTOP does, or a long computation. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test.each(['step', 'transaction'] as const)(
  'a resolver that stood still begins no effect in a %s, because another may have taken over',
  async (kind) => {
    const key = `resolver-${kind}`;
    let began = false;
    let aborted: boolean | undefined;
    leases.during = async ({ step, signal }) => {
      const begin = (): void => void (began = true);
      standStill(LEASE_MS + 300);
      await (kind === 'step' ? step('pay', begin) : step.transaction('pay', begin)).finally(() => {
        aborted = signal.aborted;
      });
    };
    expect((await leases.call('refuse', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(began).toBe(false);
    expect(aborted).toBe(true);
  },
);

test('a process that stood still between its claim and its resolver does not run it, and a retry executes', async () => {
  const channel = diagnostics.channel('graphql-idempotency');
  const onMessage = (message: unknown): void => {
    if ((message as { event?: string }).event !== 'claimed') return;
    channel.unsubscribe(onMessage);
    standStill(LEASE_MS + 300);
  };
  channel.subscribe(onMessage);
  leases.during = () => 'done';
  leases.counts.runs = 0;
  expect((await leases.call('refuse', 'claim')).code).toBe('IDEMPOTENCY_LEASE_LOST');
  expect(leases.counts.runs).toBe(0);
  expect((await leases.call('refuse', 'claim')).value).toBe('done');
});
