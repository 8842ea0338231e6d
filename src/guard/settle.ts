/** How a resolver ends, or is overtaken by the end of its attempt. */

import type { OpenTransaction, Transaction } from '../store/port.ts';

export type Settled =
  | { readonly kind: 'returned'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly error: unknown }
  /** The attempt ended before the resolver did. */
  | { readonly kind: 'died'; readonly reason: Error };

/** Waits for the resolver, or for the end of its session or lease: the attempt ends with either. */
export function settle(resolve: () => unknown, died: Promise<Error>): Promise<Settled> {
  return new Promise((settled) => {
    void died.then((reason) => settled({ kind: 'died', reason }));
    const run = async (): Promise<void> => {
      try {
        const value = await resolve();
        settled(value instanceof Error ? { kind: 'threw', error: value } : { kind: 'returned', value });
      } catch (error) {
        settled({ kind: 'threw', error });
      }
    };
    void run();
  });
}

/** Waits for work that is done in a transaction, or for the end of its session. */
export function settleIn(
  { tx, died, enter }: Pick<OpenTransaction, 'tx' | 'died' | 'enter'>,
  work: (tx: Transaction) => unknown,
): Promise<Settled> {
  return settle(() => enter(() => work(tx)), died);
}
