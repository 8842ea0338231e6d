/** What a consumer gets from a broker, and how it is driven. The form is the one that `inbox.process` takes. */

/** A message. With `consumer`, it is what `inbox.process` takes. */
export interface ReceivedMessage {
  /** The event's id: the same however often it comes, and whichever broker brings it. */
  readonly messageId: string;
  readonly topic: string;
  readonly key: string | undefined;
  readonly payload: Buffer;
  /** With `content-type` and `event-time`, when it was added; without those that carry id, topic and key. */
  readonly headers: Readonly<Record<string, string>>;
  /** How often it was delivered, this time included, as far as the broker says. */
  readonly deliveries: number;
}

/** Handles a message: resolves when it is done for good, and rejects when it has to come again. */
export type MessageHandler = (message: ReceivedMessage) => unknown;

/** What every consumer may be told. */
export interface ConsumerOptions {
  /**
   * How many messages may be handled at once. Those of one key are handled one after the other all the same.
   *
   * @defaultValue 10
   */
  readonly concurrency?: number | undefined;
  /** The longest wait before a message that failed comes again, in milliseconds; it doubles each time. @defaultValue 1000 */
  readonly backoffMs?: number | undefined;
  /** The longest wait of all, in milliseconds. @defaultValue 60000 */
  readonly maxBackoffMs?: number | undefined;
  /** How long `stop` waits for messages that are being handled, in milliseconds. @defaultValue 10000 */
  readonly stopTimeoutMs?: number | undefined;
  /**
   * Told why a message could not be handled; without a message, why the broker could not be asked.
   *
   * @defaultValue a warning of the process (`process.emitWarning`) for the first of several failures
   */
  readonly onError?: ((error: unknown, message: ReceivedMessage | undefined) => void) | undefined;
}

/** A consumer at work. */
export interface MessageConsumer {
  /** Takes no further message, waits for those that are being handled, and gives the rest back to the broker. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
