/** A process without GraphQL, which guards one call by `guard()` and dies where it is told to. */

import { createIdempotency } from 'graphql-idempotency';
import type { GuardCall } from 'graphql-idempotency';
import { faultPoint } from '../../support/fault-point.ts';

/** What it says of the call that it has made. */
export interface Consumed {
  readonly answer: unknown;
}

const call = JSON.parse(process.env['CALL']!) as GuardCall;
const idempotency = createIdempotency({
  scope: () => undefined,
  postgres: process.env['TEST_URL']!,
  redis: false,
  lease: 4000,
  claimTimeout: 1900,
});

const insert = 'insert into effects (name) values ($1)';

const answer = await idempotency.guard(call, async (attempt) => {
  if (call.mode === 'LEASE') {
    await attempt.step.transaction('first', async (tx) => void (await tx.query(insert, ['first'])));
    await faultPoint('mid-run');
    await attempt.step.transaction('second', async (tx) => void (await tx.query(insert, ['second'])));
    return `attempt ${attempt.attempt}`;
  }
  await attempt.tx.query(insert, ['first']);
  await faultPoint('mid-run');
  await attempt.tx.query(insert, ['second']);
  return `attempt ${attempt.attempt}`;
});
await faultPoint('answered');
process.send?.({ answer } satisfies Consumed);
await idempotency.close();
process.disconnect?.();
