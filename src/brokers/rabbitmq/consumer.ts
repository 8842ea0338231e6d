/** Consumes a queue of RabbitMQ: connects, and connects again, and answers each message when it has been handled. */

import { setTimeout as pause } from 'node:timers/promises';
import { readConsumerOptions, wrongOption } from '../consumer-settings.ts';
import { createLanes } from '../lanes.ts';
import type { ConsumerOptions, MessageConsumer, MessageHandler } from '../received-message.ts';
import { reconnectDelayMs } from '../reconnect-delay.ts';
import { Link, quietly } from './link.ts';
import type { Connect } from './link.ts';
import { readRabbitMessage } from './received.ts';
import { createRedeliveries } from './redeliveries.ts';
import { openSession } from './session.ts';
import type { Delivery, QueueSession } from './session.ts';

export interface RabbitQueueConsumerOptions extends ConsumerOptions {
  /**
   * Opens a connection, such as `() => amqplib.connect(url)`: called at once, and again after a loss. What it opens is
   * the consumer's, to listen to and to close. Leave out the `recovery` of amqplib.
   */
  readonly connect: Connect;
  /** A queue that exists: durable, and best a quorum queue, which counts how often a message has come. */
  readonly queue: string;
}

const NAME = 'consumeRabbitQueue';
const OWN: Record<Exclude<keyof RabbitQueueConsumerOptions, keyof ConsumerOptions>, true> = {
  connect: true,
  queue: true,
};

/**
 * Consumes a queue from now on, and answers RabbitMQ for a message only when the handler has resolved: as long as it
 * has not, the message comes again, here or to another consumer of the queue. One whose handler rejects waits here, in
 * one of the places of `concurrency`, before it goes back. After a lost connection, or where the queue is missing, it
 * tries again with growing waits. A message without an id cannot be told from others: it is refused, which leads to
 * the queue's dead-letter exchange, and told to `onError` with an empty `messageId`.
 *
 * RabbitMQ itself closes a channel on which a message has no answer for its `consumer_timeout`, 30 minutes by default:
 * a handler that takes longer gets its message again while it is still at it.
 *
 * @example
 * ```ts
 * const consumer = consumeRabbitQueue({ connect: () => amqplib.connect(url), queue: 'ledger' }, (message) =>
 *   idempotency.inbox.process({ consumer: 'ledger', ...message }, (tx) => book(tx, message.payload)),
 * );
 * ```
 * @throws TypeError naming the option that is wrong.
 */
export function consumeRabbitQueue(
  options: RabbitQueueConsumerOptions,
  handler: MessageHandler,
): MessageConsumer {
  const settings = readConsumerOptions(options, { name: NAME, own: Object.keys(OWN) });
  const { connect, queue } = options;
  if (typeof connect !== 'function') throw wrongOption(NAME, 'connect', 'expects a function');
  if (typeof queue !== 'string' || queue === '') throw wrongOption(NAME, 'queue', 'expects a name');
  if (typeof handler !== 'function') throw new TypeError(`${NAME}() expects a handler.`);
  const { failures } = settings;
  const link = new Link(connect);
  const lanes = createLanes();
  const redeliveries = createRedeliveries();
  const stopping = new AbortController();
  let session: QueueSession | undefined;
  let stopped: Promise<void> | undefined;

  const wait = (ms: number): Promise<void> =>
    pause(ms, undefined, { signal: stopping.signal }).catch(() => {});

  function deliver(delivery: Delivery): void {
    const message = readRabbitMessage(delivery.message);
    if (message.messageId === '') {
      delivery.refuse();
      failures.failed(new Error(`A message of the queue "${queue}" has no id, and was refused.`), message);
      return;
    }
    lanes.run(message.key, async () => {
      // What has waited for its turn through the end of its session comes again, or has come to another consumer.
      if (stopping.signal.aborted || !delivery.isOpen()) return;
      const { messageId } = message;
      const deliveries = redeliveries.count(messageId, message.deliveries);
      const counted = { ...message, deliveries };
      try {
        await handler(counted);
      } catch (error) {
        failures.failed(error, counted);
        redeliveries.failed(messageId, deliveries);
        await wait(settings.retryDelayMs(deliveries));
        delivery.requeue();
        return;
      }
      delivery.ack();
      redeliveries.forget(messageId);
      failures.handled();
    });
  }

  async function run(): Promise<void> {
    let losses = 0;
    while (!stopping.signal.aborted) {
      try {
        session = await openSession({ link, queue, prefetch: settings.concurrency, deliver });
        failures.reached();
        losses = 0;
        const reason = await session.ended;
        if (!stopping.signal.aborted) failures.failed(reason);
        // Where only the consumer was cancelled, the channel is still there, with all that has no answer.
        await session.close();
      } catch (error) {
        if (!stopping.signal.aborted) failures.failed(error);
      }
      losses += 1;
      await wait(reconnectDelayMs(losses));
    }
  }

  async function end(): Promise<void> {
    stopping.abort();
    await session?.cancel();
    await Promise.race([lanes.idle(), pause(settings.stopTimeoutMs, undefined, { ref: false })]);
    // The channel before the connection: an answer on its way over it could be overtaken, and the message come again.
    await session?.close();
    await link.close();
    await quietly(() => running);
  }

  const running = run();
  const stop = (): Promise<void> => (stopped ??= end());
  return { stop, [Symbol.asyncDispose]: stop };
}
