/** What a query came to after all its attempts: whoever retries above knows that somebody has. */

const last = new WeakSet<object>();

export const givenUp = {
  add(received: unknown): void {
    if (typeof received === 'object' && received !== null) last.add(received);
  },
  has(received: unknown): boolean {
    return typeof received === 'object' && received !== null && last.has(received);
  },
};
