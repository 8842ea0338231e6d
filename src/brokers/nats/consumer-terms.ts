/** What a consumer of JetStream must be like for nothing to be lost, and what of its settings is lived by here. */

import type { ConsumerInfo } from '@nats-io/jetstream';

const NANOS_PER_MS = 1_000_000;
/** The server's. */
const DEFAULT_ACK_WAIT_MS = 30_000;

export interface ConsumerTerms {
  /** How long the server waits for a word about a message before it delivers it again, in milliseconds. */
  readonly ackWaitMs: number;
  /** How many messages may be asked for at once. */
  readonly maxBatch: number;
}

/**
 * Returns what the consumer asks of those who use it.
 *
 * @param fetchMs for how long it will be asked for messages at a time.
 * @throws Error saying why messages would be lost.
 */
export function readConsumerTerms(
  { stream_name, name, config }: ConsumerInfo,
  fetchMs: number,
): ConsumerTerms {
  const refuse = (problem: string): Error =>
    new Error(`The consumer "${name}" of the stream "${stream_name}" ${problem}`);
  const { ack_policy, ack_wait, backoff, deliver_subject, durable_name, headers_only } = config;
  const { max_batch = 0, max_deliver = 0, max_expires = 0, priority_policy = 'none' } = config;
  if (deliver_subject !== undefined) throw refuse('pushes. Make one without `deliver_subject`.');
  if (ack_policy !== 'explicit') {
    throw refuse(
      `has the ack_policy "${ack_policy}", by which messages are taken for done that are not. Make one with "explicit".`,
    );
  }
  if (durable_name === undefined) {
    throw refuse(
      'is not durable: the server forgets it, and what it has done. Make one with `durable_name`.',
    );
  }
  if (max_deliver > 0) {
    throw refuse(
      `has max_deliver ${max_deliver}: the server drops a message after as many deliveries, without a word, be it ` +
        'because the database was down. Set it to -1; the inbox parks what keeps failing.',
    );
  }
  if (priority_policy !== 'none') {
    throw refuse(
      `has the priority_policy "${priority_policy}": it refuses whoever names no group. Make one without.`,
    );
  }
  if (headers_only === true) throw refuse('has headers_only: its messages have no payloads.');
  if (max_expires > 0 && max_expires < fetchMs * NANOS_PER_MS) {
    throw refuse(`has max_expires below a second. Set it to ${fetchMs * NANOS_PER_MS} or more, or to none.`);
  }
  // Where there is a backoff, each delivery waits as long as it says, and not ack_wait.
  const waits = backoff !== undefined && backoff.length > 0 ? backoff : [ack_wait ?? 0];
  const shortest = Math.min(...waits) / NANOS_PER_MS;
  return {
    ackWaitMs: shortest > 0 ? shortest : DEFAULT_ACK_WAIT_MS,
    maxBatch: max_batch > 0 ? max_batch : Number.POSITIVE_INFINITY,
  };
}
