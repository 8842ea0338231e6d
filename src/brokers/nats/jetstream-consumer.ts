/** Consumes a stream of NATS JetStream: a message is acknowledged when its handler has done with it, and not before. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, ConsumerMessages, JetStreamClient } from '@nats-io/jetstream';
import { readConsumerOptions, wrongOption } from '../consumer-settings.ts';
import type { ConsumerSettings } from '../consumer-settings.ts';
import type { ConsumerOptions, MessageConsumer, MessageHandler } from '../received-message.ts';
import { reconnectDelayMs } from '../reconnect-delay.ts';
import { readConsumerTerms } from './consumer-terms.ts';
import type { ConsumerTerms } from './consumer-terms.ts';
import { Deliveries } from './deliveries.ts';

/** A durable pull consumer, or where to find it. Its connection is yours: it is never closed here. */
export type ConsumerSource =
  | { readonly consumer: Consumer }
  | {
      /** The client, made by `jetstream(connection)`. */
      readonly js: JetStreamClient;
      /** The name of the stream. */
      readonly stream: string;
      /** The name of the consumer. */
      readonly durable: string;
    };

export type JetStreamConsumerOptions = ConsumerSource & ConsumerOptions;

const NAME = 'consumeJetStream';
const OWN = ['consumer', 'js', 'stream', 'durable'];

/**
 * For how long messages are asked for at a time: the least that the client allows. To stop, a request is left to run
 * out: what the server had sent to one that is withdrawn would be seen by nobody until ack_wait is over.
 */
const FETCH_MS = 1000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Hands the messages of a consumer to the handler. One is acknowledged when the handler has resolved; if it rejects,
 * the message comes again after a while that grows with its deliveries. As long as a handler works, the server is told
 * so, and delivers its message to no other. At most `concurrency` messages are taken from the server at once.
 *
 * A message may come more than once all the same, and `inbox.process` in the handler has its effect happen once.
 *
 * It goes on through restarts of the server, and when its consumer was deleted, as soon as there is one of that name
 * again: `onError` is told. The connection has to try as long: `maxReconnectAttempts: -1`.
 *
 * @returns once the consumer is known to be fit.
 * @throws TypeError naming the option that is wrong.
 * @throws Error when there is no such consumer, when the server cannot be asked, or when the consumer is one that loses
 * messages: not durable, not of ack_policy "explicit", with max_deliver, or with headers only.
 * @example
 * ```ts
 * import { jetstream } from '@nats-io/jetstream';
 * import { connect } from '@nats-io/transport-node';
 * import { consumeJetStream } from 'graphql-idempotency/nats';
 *
 * const connection = await connect({ servers: 'localhost:4222', maxReconnectAttempts: -1 });
 * const consumer = await consumeJetStream(
 *   { js: jetstream(connection), stream: 'events', durable: 'ledger' },
 *   (message) =>
 *     idempotency.inbox.process({ consumer: 'ledger', ...message }, (tx) =>
 *       tx.query('insert into ledger (entry) values ($1)', [message.payload.toString()]),
 *     ),
 * );
 * process.once('SIGTERM', () => void consumer.stop());
 * ```
 */
export async function consumeJetStream(
  options: JetStreamConsumerOptions,
  handler: MessageHandler,
): Promise<MessageConsumer> {
  const settings = readConsumerOptions(options, { name: NAME, own: OWN });
  if (typeof handler !== 'function')
    throw new TypeError(`${NAME}() expects a function that handles a message.`);
  const consumer = await findConsumer(options);
  const terms = readConsumerTerms(await consumer.info(), FETCH_MS);
  return startConsuming(consumer, terms, settings, handler);
}

async function findConsumer(options: JetStreamConsumerOptions): Promise<Consumer> {
  if ('consumer' in options && options.consumer !== undefined) {
    const { consumer } = options;
    if (typeof consumer?.fetch === 'function' && typeof consumer.info === 'function') return consumer;
    throw wrongOption(NAME, 'consumer', 'expects a pull consumer, such as `js.consumers.get()` finds');
  }
  const { js, stream, durable } = options as Exclude<ConsumerSource, { consumer: Consumer }>;
  if (typeof js?.consumers?.get !== 'function') throw wrongOption(NAME, 'js', 'expects a JetStream client');
  if (typeof stream !== 'string') throw wrongOption(NAME, 'stream', 'expects the name of a stream');
  if (typeof durable !== 'string') throw wrongOption(NAME, 'durable', 'expects the name of a consumer');
  try {
    return await js.consumers.get(stream, durable);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${NAME}() cannot use the consumer "${durable}" of the stream "${stream}": ${why}.`, {
      cause,
    });
  }
}

function startConsuming(
  consumer: Consumer,
  firstTerms: ConsumerTerms,
  settings: ConsumerSettings,
  handler: MessageHandler,
): MessageConsumer {
  const { failures, stopTimeoutMs } = settings;
  const deliveries = new Deliveries(settings, handler);
  const stopping = new AbortController();
  let fetching: ConsumerMessages | undefined;
  let terms = firstTerms;
  let keeper = keepEvery(terms.ackWaitMs);
  let stopped: Promise<void> | undefined;

  function keepEvery(ackWaitMs: number): NodeJS.Timeout {
    // Three times, so that one that comes late, or is lost, is none too few.
    return setInterval(() => deliveries.keep(), Math.min(ackWaitMs / 3, MAX_TIMER_MS)).unref();
  }

  async function fetch(room: number): Promise<void> {
    fetching = await consumer.fetch({ max_messages: Math.min(room, terms.maxBatch), expires: FETCH_MS });
    for await (const message of fetching) deliveries.take(message);
  }

  /** What went wrong may have been that the consumer is another one now. */
  async function askAgain(): Promise<void> {
    terms = readConsumerTerms(await consumer.info(), FETCH_MS);
    clearInterval(keeper);
    keeper = keepEvery(terms.ackWaitMs);
  }

  async function run(): Promise<void> {
    let troubles = 0;
    for (;;) {
      const room = await deliveries.room();
      try {
        if (troubles > 0) await askAgain();
        if (stopping.signal.aborted) return;
        await fetch(room);
        failures.reached();
        troubles = 0;
      } catch (error) {
        if (stopping.signal.aborted) return;
        failures.failed(error);
        troubles += 1;
        await pause(reconnectDelayMs(troubles), stopping.signal);
      }
    }
  }

  async function stop(): Promise<void> {
    stopping.abort();
    deliveries.stop();
    // Without a connection it would not run out.
    const close = setTimeout(() => void fetching?.close(), Math.min(stopTimeoutMs, 2 * FETCH_MS));
    await atMost(stopTimeoutMs, Promise.all([running, deliveries.idle()]));
    clearTimeout(close);
    void fetching?.close();
    clearInterval(keeper);
    // Not sooner: it would come back by way of the request that was still running.
    if (deliveries.giveBack() > 0) await arrived();
  }

  /** The connection may be closed next: an answer means that what was said before has been heard. */
  async function arrived(): Promise<void> {
    await atMost(
      FETCH_MS,
      consumer.info().catch(() => undefined),
    );
  }

  const running = run();
  const stopOnce = (): Promise<void> => (stopped ??= stop());
  return { stop: stopOnce, [Symbol.asyncDispose]: stopOnce };
}

async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const ended = new AbortController();
  await Promise.race([work, sleep(ms, undefined, { signal: ended.signal }).catch(() => undefined)]);
  ended.abort();
}

/** It keeps no process alive: nobody would have stopped a consumer whose connection is closed. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { ref: false, signal }).catch(() => undefined);
}
