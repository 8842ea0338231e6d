/** What became of each message that went out over one channel: confirmed, refused, returned, or not known. */

import type { PublishOutcome } from '../../outbox/publisher.ts';
import type { IncomingRabbitMessage, OutgoingRabbitProperties, RabbitMqConfirmChannel } from './amqplib.ts';

export interface OutgoingMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly content: Buffer;
  readonly properties: OutgoingRabbitProperties;
}

/** A message on its way. */
export interface Sent {
  readonly outcome: Promise<PublishOutcome>;
  /** Whether the channel takes more at once. */
  readonly flowing: boolean;
  /** Waits no longer: what the broker says later changes nothing. */
  giveUp(error: Error): void;
}

export interface Confirms {
  /** Sends a message. It never throws: that is an outcome as well. */
  send(message: OutgoingMessage): Sent;
  /** Resolves when the channel takes more, or never will. */
  drained(): Promise<void>;
  /** Resolves when the channel is closed. */
  readonly closed: Promise<void>;
}

interface Pending {
  readonly id: string;
  /** Where the broker could not deliver it: what it said. */
  returned: string | undefined;
  settle(outcome: PublishOutcome): void;
}

/** `connectionError` says what was heard of the connection: of that, a channel is not told. */
export function trackConfirms(channel: RabbitMqConfirmChannel, connectionError: () => unknown): Confirms {
  const pending = new Set<Pending>();
  const waiting = new Set<() => void>();
  let end: Error | undefined;

  function wake(): void {
    for (const resume of waiting) resume();
    waiting.clear();
  }

  channel.on('drain', wake);
  channel.on('return', (returned) => {
    const message = returned as ReturnedMessage;
    const { replyCode, replyText, exchange, routingKey } = message.fields;
    // The return of a message comes before its confirm, and returns come in the order of publishing. So where an
    // event is on its way twice, after a try that was given up, this is the first of the two that is not marked.
    for (const one of pending) {
      if (one.id !== message.properties.messageId || one.returned !== undefined) continue;
      one.returned = `${replyCode} ${replyText}, exchange "${exchange}", routing key "${routingKey}"`;
      break;
    }
  });
  channel.on('error', (error: unknown) => {
    end = new Error('RabbitMQ has closed the channel, and has not confirmed the event.', { cause: error });
  });
  const closed = new Promise<void>((resolve) => {
    channel.on('close', () => {
      end ??= new Error('The channel to RabbitMQ was closed, and the event was not confirmed.', {
        cause: connectionError(),
      });
      // Not left to the callbacks: before 1.0.5, amqplib forgets those behind one that was confirmed out of turn.
      for (const one of pending) one.settle(end);
      wake();
      resolve();
    });
  });

  return {
    closed,
    send({ exchange, routingKey, content, properties }) {
      let settle!: (outcome: PublishOutcome) => void;
      const outcome = new Promise<PublishOutcome>((resolve) => {
        settle = resolve;
      });
      const one: Pending = {
        id: properties.messageId,
        returned: undefined,
        settle(how) {
          pending.delete(one);
          settle(how);
        },
      };
      // A confirm that is late must still find what was returned, so one that is given up stays until then.
      const sent = { outcome, giveUp: (error: Error): void => settle(error) };
      pending.add(one);
      try {
        const flowing = channel.publish(exchange, routingKey, content, properties, (error) => {
          // Of a closed channel, amqplib tells those who wait before it tells why: a turn later, that is known.
          if (isRefused(error)) queueMicrotask(() => one.settle(refusal(error)));
          else one.settle(returnedError(one));
        });
        return { ...sent, flowing };
      } catch (error) {
        one.settle(end ?? new Error('The event could not be sent to RabbitMQ.', { cause: error }));
        return { ...sent, flowing: true };
      }
    },
    drained: () =>
      new Promise((resolve) => {
        if (end === undefined) waiting.add(resolve);
        else resolve();
      }),
  };
}

interface ReturnedMessage extends IncomingRabbitMessage {
  readonly fields: IncomingRabbitMessage['fields'] & {
    readonly replyCode: number;
    readonly replyText: string;
  };
}

function isRefused(error: unknown): boolean {
  return error !== null && error !== undefined;
}

function refusal(cause: unknown): Error {
  return new Error('RabbitMQ has refused the event.', { cause });
}

function returnedError({ returned }: Pending): PublishOutcome {
  return returned === undefined ? undefined : new Error(`RabbitMQ has no queue for the event: ${returned}.`);
}
