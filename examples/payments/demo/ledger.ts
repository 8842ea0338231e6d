/** What was sent, what each answer should have been, and what there should be in the end: one for each key. */

import { errorTable } from 'graphql-idempotency';
import type { ErrorCode } from 'graphql-idempotency';
import type { Answer } from './client.ts';

export type Outcome = 'executed' | 'replayed' | 'no answer' | ErrorCode;

export interface Sent {
  readonly user: string;
  readonly key: string;
  readonly amountCents: number;
}

export interface Totals {
  readonly number: number;
  readonly cents: number;
}

interface Entry {
  readonly user: string;
  readonly amountCents: number;
  id: string | undefined;
}

export class Ledger {
  /** By user and key: however often a key is sent, it is charged or paid out once, with the first amount. */
  readonly #entries = new Map<string, Entry>();
  sent = 0;

  get expected(): Totals {
    return totalsOf([...this.#entries.values()]);
  }

  get users(): string[] {
    return [...new Set([...this.#entries.values()].map(({ user }) => user))];
  }

  /** Enters what was sent; says what its answer should have been, where it was another. */
  enter({ user, key, amountCents }: Sent, answer: Answer, expected: Outcome): string | undefined {
    this.sent += 1;
    const name = `${user} ${key}`;
    const entry = this.#entries.get(name) ?? { user, amountCents, id: undefined };
    this.#entries.set(name, entry);
    if (answer.outcome !== expected) return expected;
    if (answer.status !== statusOf(expected)) return `HTTP ${statusOf(expected)}`;
    if (answer.id === undefined) return undefined;
    if (expected === 'executed' && this.knows(answer.id)) return 'an id of its own';
    entry.id ??= answer.id;
    return entry.id === answer.id ? undefined : `the id ${entry.id}`;
  }

  /** Whether an answer named it. */
  knows(id: string): boolean {
    return [...this.#entries.values()].some((entry) => entry.id === id);
  }
}

export function totalsOf(effects: readonly { readonly amountCents: number }[]): Totals {
  return {
    number: effects.length,
    cents: effects.reduce((sum, { amountCents }) => sum + amountCents, 0),
  };
}

function statusOf(outcome: Outcome): number | undefined {
  if (outcome === 'no answer') return undefined;
  return outcome === 'executed' || outcome === 'replayed' ? 200 : errorTable[outcome].status;
}
