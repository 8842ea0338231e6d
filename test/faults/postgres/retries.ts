/** What a client of the payment service does about a fault: send again, and look at what came of it. */

import { expect } from 'vitest';
import type { IdempotencyOptions } from 'graphql-idempotency';
import type { Reply, Service, ServiceContext } from '../../support/service.ts';
import { eventually, type Patience } from '../../support/signal.ts';

/** Deadlines long enough for a busy machine, short enough to be waited for. */
export const shortTimeouts = {
  acquireTimeout: 1000,
  claimTimeout: 1000,
  lockTimeout: 400,
  commitTimeout: 1000,
  probeTimeout: 4000,
  transactionTimeout: 10_000,
  drainTimeout: 300,
} as const satisfies Partial<IdempotencyOptions<ServiceContext>>;

/** Sends the payment of a key; its note is the key, so that its rows can be told from all others. */
export function pay(service: Pick<Service, 'send'>, key: string): Promise<Reply> {
  return service.send({ key, variables: { note: key } });
}

/** Sends it again for as long as the answer is 409, as clients do; any other answer is the last. */
export function payUntilAnswered(
  service: Pick<Service, 'send'>,
  key: string,
  patience?: Patience,
): Promise<Reply> {
  return eventually(
    async () => {
      const reply = await pay(service, key);
      return outcomeOf(reply) === 'IDEMPOTENCY_IN_PROGRESS' ? undefined : reply;
    },
    { what: `the answer to ${key}`, ...patience },
  );
}

/** `executed`, `replayed`, or the code of the refusal. */
export function outcomeOf(reply: Reply): string | undefined {
  return reply.body.extensions?.idempotency?.pay?.outcome ?? reply.code;
}

/** How many rows of the key's payment there are. */
export async function paidFor(service: Pick<Service, 'payments'>, key: string): Promise<number> {
  return (await service.payments()).filter(({ note }) => note === key).length;
}

/** Retries until there is an answer, and holds it to the promise: this outcome, and one payment. */
export async function expectOnePayment(
  service: Service,
  key: string,
  outcome: 'executed' | 'replayed',
  patience?: Patience,
): Promise<Reply> {
  const reply = await payUntilAnswered(service, key, patience);
  expect(outcomeOf(reply), JSON.stringify(reply.body)).toBe(outcome);
  expect(reply.body.data.pay).toMatchObject({ amount: 100, note: key });
  expect(await paidFor(service, key)).toBe(1);
  // And so it stays.
  const again = await pay(service, key);
  expect(outcomeOf(again), JSON.stringify(again.body)).toBe('replayed');
  expect(again.body.data.pay).toEqual(reply.body.data.pay);
  expect(await paidFor(service, key)).toBe(1);
  return reply;
}
