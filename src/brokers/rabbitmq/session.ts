/** One channel on which a queue is consumed, from its opening until it is lost. */

import type { IncomingRabbitMessage, RabbitMqChannel } from './amqplib.ts';
import { quietly } from './link.ts';
import type { Link } from './link.ts';

/** A message that has come over a session. What is said of it after the session's end is not sent: it comes again. */
export interface Delivery {
  readonly message: IncomingRabbitMessage;
  /** Whether the broker still counts on an answer. */
  isOpen(): boolean;
  /** It is done for good. */
  ack(): void;
  /** It is to come again, to whichever consumer. */
  requeue(): void;
  /** It must not come again: it goes to the queue's dead-letter exchange, or nowhere. */
  refuse(): void;
}

export interface QueueSession {
  /** Resolves with the reason when nothing comes any more. */
  readonly ended: Promise<Error>;
  /** Has no further messages delivered. */
  cancel(): Promise<void>;
  /** Ends it once all that was said before has arrived; what has no answer by then goes back into the queue. */
  close(): Promise<void>;
}

export interface SessionContext {
  readonly link: Link;
  readonly queue: string;
  /** How many messages may be without an answer at once. */
  readonly prefetch: number;
  readonly deliver: (delivery: Delivery) => void;
}

/** A broker that is starting may take its time. */
const OPEN_TIMEOUT_MS = 30_000;

export async function openSession({ link, queue, prefetch, deliver }: SessionContext): Promise<QueueSession> {
  let end!: (reason: Error) => void;
  const ended = new Promise<Error>((resolve) => {
    end = resolve;
  });
  let open = true;

  async function consume(channel: RabbitMqChannel): Promise<string> {
    let reason: unknown;
    channel.on('error', (error: unknown) => {
      reason = error;
    });
    channel.on('close', () => {
      open = false;
      end(lost(queue, reason ?? link.error));
    });
    // Before it consumes: for the consumers of a channel that come after it.
    await channel.prefetch(prefetch);
    const { consumerTag } = await channel.consume(
      queue,
      (message) => {
        if (message === null) end(lost(queue, new Error('The broker has cancelled the consumer.')));
        else deliver(deliveryOf(channel, message));
      },
      { noAck: false },
    );
    return consumerTag;
  }

  /**
   * Bound to the channel that has brought it: tags count from 1 on each. Said on a newer channel, the answer to a
   * message of a lost one would be taken for another message, which nobody has handled yet.
   */
  function deliveryOf(channel: RabbitMqChannel, message: IncomingRabbitMessage): Delivery {
    const say = (how: () => void): void => {
      try {
        if (open) how();
      } catch {
        // The channel is closing: the message comes again.
      }
    };
    return {
      message,
      isOpen: () => open,
      ack: () => say(() => channel.ack(message)),
      requeue: () => say(() => channel.nack(message, false, true)),
      refuse: () => say(() => channel.nack(message, false, false)),
    };
  }

  const { channel, consumerTag } = await link
    .open(async (connection) => {
      const opened = await connection.createChannel();
      return { channel: opened, consumerTag: await consume(opened) };
    }, OPEN_TIMEOUT_MS)
    .catch((cause: unknown) => {
      throw new Error(`The queue "${queue}" cannot be consumed: ${textOf(cause)}`, { cause });
    });
  return {
    ended,
    cancel: () => quietly(() => channel.cancel(consumerTag)),
    close: () => quietly(() => channel.close()),
  };
}

function lost(queue: string, cause: unknown): Error {
  const why = cause === undefined ? 'the connection was closed' : textOf(cause);
  return new Error(`The queue "${queue}" is not consumed any more: ${why}`, { cause });
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
