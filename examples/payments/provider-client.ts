/** Asks the provider to pay: the one of `PROVIDER_URL`, or else one that is started here. */

import { FinalError, NotExecutedError } from 'graphql-idempotency';
import type { PaidPayout, PayoutOrder } from './provider.ts';
import { startProvider } from './start-provider.ts';

const { PROVIDER_URL, PROVIDER_LOG, PORT } = process.env;
const own = PROVIDER_URL
  ? undefined
  : await startProvider(PROVIDER_LOG || `.data/provider-${PORT || 4000}.jsonl`);
const payoutsUrl = new URL('payouts', PROVIDER_URL || own!.url);

/**
 * Pays, and returns the provider's id of the payout. What it throws says what is known: refused for good
 * (`FinalError`), certainly not done (`NotExecutedError`), or, any other error, perhaps done.
 */
export async function payOut(
  order: PayoutOrder,
  { key, signal }: { readonly key: string; readonly signal: AbortSignal },
): Promise<string> {
  const response = await fetch(payoutsUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(order),
    signal,
  }).catch((error: Error) => {
    // Nobody listened, so nobody has paid. A connection that breaks later says nothing of the kind.
    if ((error.cause as NodeJS.ErrnoException | undefined)?.code !== 'ECONNREFUSED') throw error;
    throw new NotExecutedError('The payment provider cannot be reached.', {
      extensions: { code: 'PROVIDER_UNAVAILABLE' },
    });
  });
  if (response.status === 422) {
    throw new FinalError('The payment provider knows no such account.', {
      extensions: { code: 'ACCOUNT_REFUSED' },
    });
  }
  if (!response.ok) throw new Error(`The payment provider answered ${response.status}`);
  const { id } = (await response.json()) as PaidPayout;
  return id;
}

/** Stops the provider that was started here. */
export function stopProvider(): void {
  own?.stop();
}
