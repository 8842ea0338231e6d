/** What every story must end with: so many payments in the database, and a page that says the same. */

import { expect } from 'vitest';
import type { Attempt, Checkout } from './checkout.ts';
import type { Shop, Shopper } from './shop.ts';

/** A row of the timeline without its key and number. */
export type Told = Pick<Attempt, 'outcome' | 'served'>;

export const lost: Told = { outcome: 'lost', served: '' };
export const refused: Told = { outcome: 'refused', served: '' };
export const executed: Told = { outcome: 'answered', served: 'executed' };
export const replayed: Told = { outcome: 'answered', served: 'replayed' };

/** Waits until the page is done, expects one row for its user and the attempts, and returns the key. */
export async function expectOnePayment(
  shop: Shop,
  shopper: Shopper,
  checkout: Checkout,
  attempts?: readonly Told[],
): Promise<string> {
  await checkout.waitFor('done');
  // What the page forgot of may still be on its way, and write a second row.
  await checkout.quiet();
  const payments = await shop.payments(shopper.user);
  expect(payments, 'rows in the table payments').toHaveLength(1);
  await checkout.waitForBalance(payments[0]!.amount_cents);

  const shown = await checkout.attempts();
  expect(shown.map(({ number }) => number)).toEqual(shown.map((_, index) => index + 1));
  if (attempts !== undefined) {
    expect(shown.map(({ outcome, served }) => ({ outcome, served }))).toEqual(attempts);
  }
  expect(await checkout.served()).toBe(shown.at(-1)?.served);
  const keys = new Set([...checkout.sentKeys(), ...shown.map(({ key }) => key)]);
  expect([...keys], 'keys that were sent or shown').toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  return shown[0]!.key;
}
