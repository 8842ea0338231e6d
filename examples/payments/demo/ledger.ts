/** What the demo has sent, what each answer should have been, and what should be in the table: one charge a key. */

import { errorTable } from 'graphql-idempotency';
import type { ErrorCode } from 'graphql-idempotency';
import { accountOf } from './client.ts';
import type { Answer, Charge } from './client.ts';

export type Outcome = 'executed' | 'replayed' | 'no answer' | ErrorCode;

export interface Totals {
  readonly charges: number;
  readonly cents: number;
}

interface Entry {
  readonly user: string;
  readonly amountCents: number;
  paymentId: string | undefined;
}

export class Ledger {
  /** By user and key: however often a key is sent, it is charged once, with the first amount. */
  readonly #entries = new Map<string, Entry>();
  sent = 0;

  get expected(): Totals {
    const entries = [...this.#entries.values()];
    return { charges: entries.length, cents: entries.reduce((sum, { amountCents }) => sum + amountCents, 0) };
  }

  /** Enters a charge that was sent; says what its answer should have been, where it was another. */
  enter({ user, key, amountCents }: Charge, answer: Answer, expected: Outcome): string | undefined {
    this.sent += 1;
    const id = `${user} ${key}`;
    const entry = this.#entries.get(id) ?? { user, amountCents, paymentId: undefined };
    this.#entries.set(id, entry);
    if (answer.outcome !== expected) return expected;
    if (answer.status !== statusOf(expected)) return `HTTP ${statusOf(expected)}`;
    if (answer.paymentId === undefined) return undefined;
    if (expected === 'executed' && this.#knows(answer.paymentId)) return 'a payment of its own';
    entry.paymentId ??= answer.paymentId;
    return entry.paymentId === answer.paymentId ? undefined : `payment ${entry.paymentId}`;
  }

  /** Asks the API what is in the table. A payment that no answer named is not counted, but told. */
  async found(url: string): Promise<Totals & { readonly strangers: number }> {
    const users = [...new Set([...this.#entries.values()].map(({ user }) => user))];
    const accounts = await Promise.all(users.map((user) => accountOf(url, user)));
    const payments = accounts.flatMap(({ payments }) => payments);
    return {
      charges: payments.length,
      cents: accounts.reduce((sum, { balance }) => sum + balance, 0),
      strangers: payments.filter(({ id }) => !this.#knows(id)).length,
    };
  }

  #knows(paymentId: string): boolean {
    return [...this.#entries.values()].some((entry) => entry.paymentId === paymentId);
  }
}

function statusOf(outcome: Outcome): number | undefined {
  if (outcome === 'no answer') return undefined;
  return outcome === 'executed' || outcome === 'replayed' ? 200 : errorTable[outcome].status;
}
