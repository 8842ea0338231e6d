/** A process that handles one message, and dies where it is told to. */

import { createIdempotency } from 'graphql-idempotency';
import type { InboxMessage } from 'graphql-idempotency';
import { faultPoint } from '../support/fault-point.ts';

/** What it says of the message that it has handled. */
export interface Handled {
  readonly answer: unknown;
}

const message = JSON.parse(process.env['MESSAGE']!) as InboxMessage;
const idempotency = createIdempotency({
  scope: () => undefined,
  postgres: process.env['TEST_URL']!,
  redis: false,
  lease: 4000,
  claimTimeout: 1900,
});
const insert = 'insert into effects (name) values ($1)';

const { mode } = message;
const answer =
  mode === 'LEASE'
    ? await idempotency.inbox.process({ ...message, mode }, async ({ step }) => {
        await step.transaction('first', async (tx) => void (await tx.query(insert, ['first'])));
        await faultPoint('at work');
        await step.transaction('second', async (tx) => void (await tx.query(insert, ['second'])));
      })
    : await idempotency.inbox
        .process({ ...message, mode }, async (tx) => {
          await tx.query(insert, ['first']);
          await faultPoint('at work');
          await tx.query(insert, ['second']);
          if (process.env['FAIL'] !== undefined) throw new Error('no');
        })
        .catch((error: unknown) => String(error));
await faultPoint('handled');
process.send?.({ answer } satisfies Handled);
await idempotency.close();
process.disconnect?.();
