/** How often a message has failed here: a classic queue does not say. */

export interface Redeliveries {
  /** How often it was delivered, by what the broker says and what is known here. */
  count(messageId: string, deliveries: number): number;
  failed(messageId: string, deliveries: number): void;
  forget(messageId: string): void;
}

/** Those that other consumers have handled since then are never heard of again. */
const MAX_KNOWN = 1000;

export function createRedeliveries(): Redeliveries {
  /** In the order in which they last failed. */
  const known = new Map<string, number>();
  return {
    count: (messageId, deliveries) => Math.max(deliveries, (known.get(messageId) ?? 0) + 1),
    failed(messageId, deliveries) {
      known.delete(messageId);
      known.set(messageId, deliveries);
      const [oldest] = known.keys();
      if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest);
    },
    forget: (messageId) => void known.delete(messageId),
  };
}
