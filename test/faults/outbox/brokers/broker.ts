/** What a run needs of a broker, whichever it is. */

import type { Publisher } from 'graphql-idempotency';
import type {
  ConsumerOptions,
  MessageConsumer,
  MessageHandler,
} from '../../../../src/brokers/received-message.ts';

export interface Broker {
  /** Starts a server that keeps what it has confirmed, with all that publishers and consumers need. */
  start(): Promise<BrokerServer>;
  /** In the relay's process. It does not fail because the server is away. */
  openPublisher(url: string): Promise<Publisher>;
  /** In the consumer's process. It does not fail because the server is away. */
  consume(url: string, options: ConsumerOptions, handler: MessageHandler): Promise<MessageConsumer>;
}

export interface BrokerServer {
  readonly url: string;
  /** Ends it, by SIGKILL or in order. */
  end(how: 'kill' | 'stop'): Promise<void>;
  /** Starts it again, with what it has kept. */
  restart(): Promise<void>;
  /** How many messages it would still deliver; asked while no consumer runs. */
  backlog(): Promise<number>;
  remove(): Promise<void>;
}

export const BROKER_NAMES = ['redis', 'nats', 'rabbitmq'] as const;
export type BrokerName = (typeof BROKER_NAMES)[number];

/** Of the consumers, which are one group. */
export const GROUP = 'ledger';
/** After how long a message of a dead consumer comes to another, where the broker goes by time, in milliseconds. */
export const REDELIVER_MS = 3000;

/** Loads the one that is wanted, and no other's client. */
export async function loadBroker(name: BrokerName): Promise<Broker> {
  switch (name) {
    case 'redis':
      return (await import('./redis.ts')).redisBroker;
    case 'nats':
      return (await import('./nats.ts')).natsBroker;
    case 'rabbitmq':
      return (await import('./rabbitmq.ts')).rabbitMqBroker;
  }
}
