/** Steps side by side: a refusal of one says nothing of another that failed while its resolver ended. */

import { NotExecutedError } from 'graphql-idempotency';
import { beforeAll, expect, test } from 'vitest';
import { deferred } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Leases } from './leases.ts';

let leases: Leases;
beforeAll(async () => {
  leases = await startLeases();
});

test('the claim is kept when a step fails behind a refusal, before the resolver has settled', async () => {
  let sent = 0;
  leases.during = async ({ step }) => {
    const [under, lost] = [deferred(), deferred()];
    const sending = async (): Promise<void> => {
      sent += 1;
      under.resolve();
      await lost.promise;
      throw new Error('the answer was lost');
    };
    try {
      await Promise.all([
        step('charge', async () => {
          await under.promise;
          throw new NotExecutedError('the provider is busy');
        }),
        step('send', sending),
      ]);
    } finally {
      // It tidies up, and the other one fails meanwhile.
      lost.resolve();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  expect((await leases.call('refuse', 'a')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect((await leases.call('refuse', 'a')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(sent).toBe(1);
});

test('it is released when every step that failed says that nothing was done', async () => {
  leases.during = ({ step }) =>
    Promise.all(['a', 'b'].map((name) => step(name, () => raise(new NotExecutedError(name)))));
  expect((await leases.call('refuse', 'b')).error?.message).toBe('a');
  expect(await leases.row('b')).toBeUndefined();
});

test('it is released when the resolver has understood the failure of a step that ran alone', async () => {
  leases.during = ({ step }) =>
    step('a', () => raise(new Error('connection refused'))).catch(() => raise(new NotExecutedError('down')));
  expect((await leases.call('refuse', 'c')).error?.message).toBe('down');
  expect(await leases.row('c')).toBeUndefined();
});
