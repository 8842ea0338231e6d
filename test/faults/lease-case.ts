/** The service with fields of lease mode, whose resolver each test chooses, and a look at their records. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import pg from 'pg';
import { expect } from 'vitest';
import type { CurrentAttempt, IdempotencyMessage, LeaseEvent } from 'graphql-idempotency';
import { identityOf } from '../../src/key/identity.ts';
import type { Key } from '../../src/key/key-form.ts';
import type { PostgresProxy } from '../support/postgres-proxy.ts';
import type { MessageMatch, ProxyAction, ProxyRule } from '../support/proxy-rules.ts';
import { type Reply, type Service, type ServiceOptions, startService } from '../support/service.ts';
import { eventually, type Patience } from '../support/signal.ts';

export interface TransferCall extends Pick<CurrentAttempt, 'step' | 'attempt' | 'signal'> {
  readonly key: string;
}

export type Transfer = (call: TransferCall) => unknown;

/** Fields that do the same under other policies. */
export type TransferField = 'transfer' | 'transferAgain' | 'transferAwaited';

export interface LeaseService extends Service {
  /** Sends the transfer of a key. */
  transfer(key: string, field?: TransferField): Promise<Reply>;
  /** Which attempts of a key have run here. */
  attempts(key: string): readonly number[];
  /** What its resolver does from now on; without a choice it says that it is done. */
  resolveWith(transfer?: Transfer): void;
}

export async function startLeaseService(options: ServiceOptions): Promise<LeaseService> {
  let transfer: Transfer = done;
  const ran = new Map<string, number[]>();
  const service = await startService({
    ...options,
    typeDefs: `extend type Mutation {
      transfer(note: String!): String @idempotent(mode: LEASE)
      transferAgain(note: String!): String @idempotent(mode: LEASE, abandoned: RERUN)
      transferAwaited(note: String!): String @idempotent(mode: LEASE, abandoned: RERUN, inFlight: WAIT)
    }`,
    resolvers: (idempotency) => {
      const resolve = (_: unknown, { note }: { note: string }, __: unknown, info: never): unknown => {
        const { step, signal, attempt } = idempotency.current(info);
        ran.set(note, [...(ran.get(note) ?? []), attempt]);
        return transfer({ key: note, step, signal, attempt });
      };
      return { Mutation: { transfer: resolve, transferAgain: resolve, transferAwaited: resolve } };
    },
  });
  return {
    ...service,
    transfer: (key, field = 'transfer') =>
      service.send({
        key,
        query: `mutation ($note: String!) { transfer: ${field}(note: $note) }`,
        variables: { note: key },
      }),
    attempts: (key) => ran.get(key) ?? [],
    resolveWith: (chosen = done) => {
      transfer = chosen;
    },
  };
}

export function done({ key, attempt }: Pick<TransferCall, 'key' | 'attempt'>): string {
  return `${key} done in attempt ${attempt}`;
}

/** Deadlines long enough for a busy machine, short enough to be waited for; the lease is as long as by default. */
export const shortTimeouts = {
  migrate: false,
  acquireTimeout: 1000,
  claimTimeout: 800,
  lockTimeout: 300,
  commitTimeout: 900,
  probeTimeout: 4000,
  transactionTimeout: 10_000,
  drainTimeout: 300,
  recoverInterval: 0,
} as const satisfies ServiceOptions['options'];

/** The same with a lease that a test can wait out. */
export const shortLease = { ...shortTimeouts, lease: 900, attemptTimeout: 20_000 } as const;

/** `executed`, `replayed`, or the code of the refusal. */
export function outcomeOf(reply: Reply): string | undefined {
  return reply.body.extensions?.idempotency?.transfer?.outcome ?? reply.code;
}

/** Sends it again for as long as the answer is one that says to retry; any other answer is the last. */
export function transferUntil(
  service: LeaseService,
  key: string,
  wanted: string,
  { field = 'transfer', ...patience }: Patience & { readonly field?: TransferField } = {},
): Promise<Reply> {
  let last: string | undefined;
  return eventually(
    async () => {
      const reply = await service.transfer(key, field);
      last = outcomeOf(reply);
      if (last !== wanted) throw new Error(`the last answer was ${last}`);
      return reply;
    },
    { what: `the answer ${wanted} to ${key}`, ...patience },
  );
}

/** Holds a key to the promise: the answer is that of one attempt, and stays. */
export async function expectOneOutcome(
  service: LeaseService,
  records: Records,
  key: string,
  { attempt = 1, field = 'transfer' }: { attempt?: number; field?: TransferField } = {},
): Promise<void> {
  const reply = await service.transfer(key, field);
  expect(outcomeOf(reply), JSON.stringify(reply.body)).toBe('replayed');
  expect(reply.body.data.transfer).toBe(done({ key, attempt }));
  expect(await records.of(key)).toMatchObject({ state: 'completed', outcome: 'result', attempt });
  expect(await records.steps(key)).toEqual([]);
}

export interface RecordRow {
  readonly state: string;
  readonly outcome: string | null;
  readonly attempt: number;
  readonly fence: string;
  readonly lapsed: boolean;
}

/** Records as a connection of the test's own sees them. */
export interface Records {
  readonly client: pg.Client;
  of(key: string): Promise<RecordRow | undefined>;
  /** Names of the journal's steps. */
  steps(key: string): Promise<string[]>;
  /** Waits until the lease of a key has lapsed. */
  lapsed(key: string): Promise<void>;
  close(): Promise<void>;
}

export async function openRecords(databaseUrl: string): Promise<Records> {
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on('error', () => {});
  await client.connect();
  const of = async (key: string): Promise<RecordRow | undefined> => {
    const { rows } = await client.query<RecordRow>(
      `select state::text, outcome::text, attempt, fence::text, lease_until <= clock_timestamp() as lapsed
      from graphql_idempotency.record where identity = $1`,
      [identityOfKey(key)],
    );
    return rows[0];
  };
  return {
    client,
    of,
    steps: async (key) =>
      (
        await client.query<{ name: string }>(
          'select name from graphql_idempotency.step where identity = $1 order by name',
          [identityOfKey(key)],
        )
      ).rows.map(({ name }) => name),
    lapsed: async (key) => {
      await eventually(async () => (await of(key))?.lapsed, { what: `the end of the lease of ${key}` });
    },
    close: () => client.end(),
  };
}

export function identityOfKey(key: string): Buffer {
  return identityOf({ namespace: '', scope: 'alice', key: key as Key });
}

/** What happened to the leases of a key, from now on. */
export interface LeaseEvents {
  of(key: string): readonly LeaseEvent[];
  count(key: string, event: LeaseEvent): number;
  close(): void;
}

export function watchLeases(): LeaseEvents {
  const seen: Extract<IdempotencyMessage, { type: 'lease' }>[] = [];
  const listener = (message: unknown): void => {
    const published = message as IdempotencyMessage;
    if (published.type === 'lease') seen.push(published);
  };
  subscribe('graphql-idempotency', listener);
  const of = (key: string): readonly LeaseEvent[] => {
    const identity = identityOfKey(key).toString('hex');
    return seen.filter((message) => message.identity === identity).map(({ event }) => event);
  };
  return {
    of,
    count: (key, event) => of(key).filter((name) => name === event).length,
    close: () => void unsubscribe('graphql-idempotency', listener),
  };
}

/** What lease mode sends, by the first of its messages: a Query, or what binds a prepared statement. */
export const messages = {
  claim: request(/\.claim_lease\(/),
  renew: request(/record as r set lease_until =/),
  complete: request(/\.complete_lease\(/),
  takeOver: request(/set\s+fence = /),
  step: request(/\.record_step\(/),
  release: request(/\.release_lease\(/),
  abandon: request(/set state = 'unknown'/),
} as const;

/**
 * Does something at the first message of the answer to the next request that matches. Nothing else may be under way
 * on its connection; and the server has committed when its answer arrives.
 */
export function onAnswer(
  proxy: PostgresProxy,
  match: MessageMatch,
  action: ProxyAction,
): { readonly matched: Promise<unknown>; release(): void } {
  let rule: ProxyRule | undefined;
  const asked = proxy.on(match, 'observe');
  const matched = asked.matched.then(({ connection }) => {
    rule = proxy.on({ connection, from: 'server' }, action);
    return rule.matched;
  });
  return { matched, release: () => rule?.release() };
}

/** What a network can do to a request: lose it or its answer, with the connection, or keep it for too long. */
export const losses = ['message-lost', 'answer-lost', 'message-late', 'answer-late'] as const;

export type Loss = (typeof losses)[number];

/** Does that to the next request that matches. */
export function lose(proxy: PostgresProxy, match: MessageMatch, loss: Loss): ReturnType<typeof onAnswer> {
  switch (loss) {
    case 'message-lost':
      return proxy.on(match, 'cut-before');
    case 'answer-lost':
      return onAnswer(proxy, match, 'cut-before');
    case 'message-late':
      return proxy.on(match, 'hold');
    case 'answer-late':
      return onAnswer(proxy, match, 'hold');
  }
}

function request(sql: RegExp): MessageMatch {
  return { from: 'client', sql };
}
