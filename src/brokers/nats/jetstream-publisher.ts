/** Publishes events to NATS JetStream: each is out when a stream has acknowledged it. */

import type { JetStreamClient, PubAck } from '@nats-io/jetstream';
import type { OutboxEvent, PublishOutcome, Publisher } from '../../outbox/publisher.ts';
import { readNumberOption, refuseUnknownOptions, wrongOption } from '../consumer-settings.ts';
import { eventHeaders } from '../event-headers.ts';
import { headersToSend } from './message-headers.ts';
import { checkSubject } from './subject.ts';

export interface JetStreamPublisherOptions {
  /** The client, made by `jetstream(connection)`. Its connection is yours: it is never closed here. */
  readonly js: JetStreamClient;
  /**
   * Makes the subject to which an event is published.
   *
   * @defaultValue the topic
   */
  readonly subject?: ((event: OutboxEvent) => string) | undefined;
  /**
   * How long a stream may take to acknowledge an event, in milliseconds.
   *
   * @defaultValue 5000
   */
  readonly timeoutMs?: number | undefined;
}

const NAME = 'jetStreamPublisher';
const OPTIONS: Record<keyof JetStreamPublisherOptions, true> = { js: true, subject: true, timeoutMs: true };
const TIMEOUT_MS = { default: 5000, min: 1, max: 86_400_000 };

/**
 * Makes a publisher that a relay publishes with to NATS JetStream.
 *
 * An event's id is its message id (`Nats-Msg-Id`): a stream stores an event once, however often it is published within
 * the stream's `duplicate_window`, two minutes by default. What comes later than that is stored again, under the same
 * id. Headers whose names begin with `nats-` are left out, for they would steer the server.
 *
 * An acknowledged event is as safe as its stream: `storage: 'memory'` loses it with the server's process; `file` with
 * one replica loses the last ones with the machine, because the server syncs to the disk every two minutes unless its
 * `sync_interval` says otherwise; three replicas lose it when the machines fail together.
 *
 * @throws TypeError naming the option that is wrong.
 * @example
 * ```ts
 * import { jetstream } from '@nats-io/jetstream';
 * import { connect } from '@nats-io/transport-node';
 * import { jetStreamPublisher } from 'graphql-idempotency/nats';
 *
 * const connection = await connect({ servers: 'localhost:4222', maxReconnectAttempts: -1 });
 * const relay = idempotency.relay({ publisher: jetStreamPublisher({ js: jetstream(connection) }) });
 * relay.start();
 * ```
 */
export function jetStreamPublisher(options: JetStreamPublisherOptions): Publisher {
  refuseUnknownOptions(options, { name: NAME, own: Object.keys(OPTIONS) });
  const { js, subject = (event) => event.topic } = options;
  if (typeof js?.publish !== 'function') throw wrongOption(NAME, 'js', 'expects a JetStream client');
  if (typeof subject !== 'function') throw wrongOption(NAME, 'subject', 'expects a function');
  const timeoutMs = readNumberOption(NAME, 'timeoutMs', options.timeoutMs, TIMEOUT_MS);

  async function publishOne(event: OutboxEvent): Promise<PublishOutcome> {
    try {
      const to = checkSubject(subject(event));
      const headers = headersToSend(event.id, eventHeaders(event));
      checkAcknowledgement(await acknowledgement(to, event.payload, headers), to);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error('not published', { cause: error });
    }
  }

  async function acknowledgement(
    to: string,
    payload: Buffer,
    headers: ReturnType<typeof headersToSend>,
  ): Promise<PubAck> {
    try {
      return await js.publish(to, payload, { headers, timeout: timeoutMs });
    } catch (error) {
      throw explained(error, to, timeoutMs);
    }
  }

  return { publish: async (events) => Promise.all(events.map(publishOne)) };
}

/**
 * Whoever listens to a subject can answer what is published there. Only streams say where they have put it, and count
 * from 1: older clusters answer 0 to an event whose first copy no majority has yet. A leader that goes takes that copy
 * along, and the event would be gone from the outbox as well.
 */
function checkAcknowledgement({ stream, seq }: PubAck, subject: string): void {
  if (typeof stream !== 'string' || stream === '' || !Number.isSafeInteger(seq)) {
    throw new Error(
      `What answered on the NATS subject "${subject}" is no stream. ${CREATE} Until then, nothing keeps what is published there.`,
    );
  }
  if (seq > 0) return;
  throw new Error(
    `The stream "${stream}" has not stored what was published to the NATS subject "${subject}": it may still do so.`,
  );
}

const CREATE = 'Create a stream whose `subjects` include it, or give jetStreamPublisher() another `subject`.';

function explained(error: unknown, subject: string, timeoutMs: number): unknown {
  switch (error instanceof Error ? error.name : '') {
    case 'JetStreamNotEnabled':
      return new Error(
        `No stream takes the NATS subject "${subject}". ${CREATE} (Or JetStream is not enabled, or not yet ready.)`,
        { cause: error },
      );
    case 'TimeoutError':
      return new Error(
        `No stream acknowledged the NATS subject "${subject}" within ${timeoutMs} ms: the server cannot be reached or is ` +
          'slow, or only others than streams listen there, or the stream has `no_ack`.',
        { cause: error },
      );
    default:
      return error;
  }
}
