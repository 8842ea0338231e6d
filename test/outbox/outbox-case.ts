/** An instance whose attempts add events, and relays that publish them into a list, on a database of the test's own. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { OutboxEvent, Relay, RelayMessage, RelayOptions } from 'graphql-idempotency';
import pg from 'pg';
import { onTestFinished } from 'vitest';
import { startCalls } from '../guard/direct/calls.ts';
import type { Calls, CallsOptions } from '../guard/direct/calls.ts';

export interface OutboxCase extends Calls {
  /** Makes a relay that notes what it publishes; it is stopped when the test ends. */
  relay(options?: Partial<RelayOptions>): ListeningRelay;
  /** Adds events, each in an attempt of its own, one after the other. */
  add(...events: readonly { topic?: string; key?: string; payload?: unknown }[]): Promise<string[]>;
  /** The rows of the outbox, in the order of their positions. */
  rows(): Promise<OutboxRow[]>;
  /** A connection of the test's own, for transactions that stay open. */
  connect(): Promise<pg.Client>;
}

export interface ListeningRelay extends Relay {
  /** What its `publish` was called with, in that order. */
  readonly tried: readonly OutboxEvent[];
  /** What it has published, in that order. */
  readonly published: readonly OutboxEvent[];
}

export interface OutboxRow {
  readonly event_id: string;
  readonly topic: string;
  readonly ordering_key: string | null;
  readonly started: number;
  readonly finished: number;
  readonly state: 'ready' | 'claimed' | 'waiting' | 'parked' | 'dead';
  readonly last_error: string | null;
}

/** Quick where a test waits, and patient where it must not run out. */
export const QUICK = { pollMinMs: 5, pollMaxMs: 20, backoffMs: 1, maxBackoffMs: 1 } as const;

let scopes = 0;

export async function startOutboxCase(options: CallsOptions = {}): Promise<OutboxCase> {
  const calls = await startCalls(options);
  const { idempotency, url } = calls;
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    onTestFinished(() => client.end());
    return client;
  };
  return {
    ...calls,
    connect,
    relay({ publish, publisher, ...rest } = {}) {
      const tried: OutboxEvent[] = [];
      const published: OutboxEvent[] = [];
      const noted = async (event: OutboxEvent): Promise<void> => {
        tried.push(event);
        await publish?.(event);
        published.push(event);
      };
      const target = publisher === undefined ? { publish: noted } : { publisher };
      const relay = idempotency.relay({ onError: () => {}, ...QUICK, ...target, ...rest });
      onTestFinished(() => relay.stop());
      return Object.assign(relay, { tried, published });
    },
    async add(...events) {
      const ids: string[] = [];
      for (const event of events) {
        const scope = `adder-${(scopes += 1)}`;
        await idempotency.guard({ scope, key: 'k' }, ({ outbox }) => {
          ids.push(outbox.add({ topic: 't', payload: null, ...event }));
        });
      }
      return ids;
    },
    rows: async () =>
      calls.sql<OutboxRow>(
        `select event_id, topic, ordering_key, started, finished, last_error, case
           when dead_at is not null then 'dead'
           when available_at = 'infinity' then 'parked'
           when claim is not null then 'claimed'
           when available_at > clock_timestamp() then 'waiting'
           else 'ready' end as state
         from graphql_idempotency.outbox order by position`,
      ),
  };
}

/** What relays tell, until the test ends. */
export function relayMessages(): RelayMessage[] {
  const messages: RelayMessage[] = [];
  const listener = (message: unknown): void => {
    const { type } = message as { readonly type: string };
    if (type === 'relay') messages.push(message as RelayMessage);
  };
  subscribe('graphql-idempotency', listener);
  onTestFinished(() => void unsubscribe('graphql-idempotency', listener));
  return messages;
}

/** The payload of an event that was published as JSON. */
export function payloadOf({ payload }: Pick<OutboxEvent, 'payload'>): unknown {
  return JSON.parse(payload.toString()) as unknown;
}
