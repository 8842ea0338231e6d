/** The blocks about the outbox and the inbox run, and do what the text around them says. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GraphQLResolveInfo } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency, InboxAnswer, Relay } from 'graphql-idempotency';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createDatabase, redisUrl } from '../support/database.ts';
import { startRedis } from '../support/redis-server.ts';
import { inboxMessageNames } from '../../src/inbox/inbox-message.ts';
import { relayOptionDefaults } from '../../src/outbox/relay-options.ts';
import { codeBlocks, readDocument, tableAfter } from './documents.ts';
import { writeModules } from './modules.ts';
import type { Context, world as preludeWorld } from './prelude.ts';
import { mailer, queue } from './workers.ts';

interface Consumer {
  stop(): Promise<void>;
}

type Resolver = (_: unknown, args: object, context: Context, info: GraphQLResolveInfo) => Promise<unknown>;

const modules = writeModules();
const database = await createDatabase({ migrated: true });
const owner = new pg.Pool({ connectionString: database.url, max: 1 });
// Of its own: the test files share the other one, and streams have no prefix.
const brokerServer = await startRedis();
const broker = new Redis(brokerServer.url);
let world: typeof preludeWorld;
let idempotency: Idempotency<Context>;
const patient = { timeout: 20_000 };

beforeAll(async () => {
  vi.stubEnv('DATABASE_URL', database.url);
  vi.stubEnv('REDIS_URL', redisUrl());
  vi.stubEnv('BROKER_URL', brokerServer.url);
  for (const level of ['info', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation(() => {});
  await owner.query(codeBlocks('sql', 'README.md')[0]!.code);
  await owner.query('create table ledger (user_id text not null, amount_cents integer not null)');
  // Not before: it reads the environment.
  ({ idempotency, world } = await import('./prelude.ts'));
});

beforeEach(async () => {
  world.calls.length = 0;
  await owner.query('truncate payments, ledger, graphql_idempotency.outbox');
});

afterAll(async () => {
  await idempotency.close();
  broker.disconnect();
  await brokerServer.remove();
  await owner.end();
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const rows = async (table: string): Promise<unknown[]> =>
  (await owner.query(`select user_id, amount_cents from ${table}`)).rows;

/** Runs a block's resolver as the field of a guarded mutation, and returns what it returned. */
async function resolve(
  resolver: Resolver,
  args: object,
  directive: string,
  key: string,
): Promise<{ value: unknown; topics: string[] }> {
  const { buildSchema, graphql } = await import('graphql');
  const schema = buildSchema(
    `${idempotency.typeDefs} type Query { ping: Int } type Mutation { run(amountCents: Int!): ID ${directive} }`,
  );
  schema.getMutationType()!.getFields()['run']!.resolve = resolver as never;
  const { data, errors } = await graphql({
    schema: idempotency.applyTo(schema),
    source: `mutation { run(amountCents: ${JSON.stringify((args as { amountCents: number }).amountCents)}) @idempotent(key: "${key}") }`,
    contextValue: { user: 'ann' },
  });
  expect(errors).toBeUndefined();
  const topics = (await owner.query('select topic from graphql_idempotency.outbox order by position')).rows;
  return { value: data!['run'], topics: topics.map(({ topic }: { topic: string }) => topic) };
}

test('the table of a relay’s options has each of them, with its default', () => {
  const rows = tableAfter(readDocument('docs/outbox.md'), ['option', 'default', 'meaning']);
  const names = rows.map(([name]) => name!.replaceAll('`', ''));
  expect(names.toSorted()).toEqual(Object.keys(relayOptionDefaults).toSorted());
  for (const [name, usual] of rows) {
    const number = relayOptionDefaults[name!.replaceAll('`', '') as keyof typeof relayOptionDefaults];
    if (number !== undefined) expect(usual, name).toBe(number.toLocaleString('en-US'));
  }
});

test('the table of a message has all that it may say of itself', () => {
  const rows = tableAfter(readDocument('docs/inbox.md'), ['property', 'default', 'meaning']);
  const names = rows.flatMap(([name]) => name!.replaceAll('`', '').split(', '));
  expect(names.toSorted()).toEqual(Object.keys(inboxMessageNames).toSorted());
});

test('outbox-charge.ts: a charge adds its event, and a retry adds none', async () => {
  const { charge } = await modules.load<{ charge: Resolver }>('outbox-charge.ts');
  for (const _ of ['first', 'retry']) {
    expect(await resolve(charge, { amountCents: 5 }, '@idempotent', 'charge')).toEqual({
      value: '5',
      topics: ['payment.captured'],
    });
  }
  expect(await rows('payments')).toEqual([{ user_id: 'ann', amount_cents: 5 }]);
});

test('outbox-step.ts: a step’s transaction adds its event', async () => {
  const { payOut } = await modules.load<{ payOut: Resolver }>('outbox-step.ts');
  const directive = '@idempotent(mode: LEASE)';
  expect(await resolve(payOut, { amountCents: 7 }, directive, 'payout')).toEqual({
    value: 'payout 1',
    topics: ['payout.made'],
  });
});

test('relay.ts and bookkeeping.ts: what was charged is in the ledger, once', async () => {
  const { charge } = await modules.load<{ charge: Resolver }>('outbox-charge.ts');
  const { consumer, broker: consumed } = await modules.load<{ consumer: Consumer; broker: Redis }>(
    'bookkeeping.ts',
  );
  const { relay, broker: published } = await modules.load<{ relay: Relay; broker: Redis }>('relay.ts');
  await resolve(charge, { amountCents: 11 }, '@idempotent', 'booked');
  await expect.poll(() => rows('ledger'), patient).toEqual([{ user_id: 'ann', amount_cents: 11 }]);
  // As a relay does that died before it could delete the event.
  const [[, fields]] = (await broker.xrange('payment.captured', '-', '+')) as [[string, string[]]];
  const again = await broker.xadd('payment.captured', '*', ...fields);
  await expect.poll(async () => ackedUpTo(again!), patient).toBe(true);
  expect(await rows('ledger')).toHaveLength(1);
  await relay.stop();
  await consumer.stop();
  published.disconnect();
  consumed.disconnect();
});

/** Whether the group has read the entry, and none is left that it has not acknowledged. */
async function ackedUpTo(id: string): Promise<boolean> {
  const [group] = (await broker.xinfo('GROUPS', 'payment.captured')) as [unknown[]];
  const facts = new Map<unknown, unknown>();
  for (let at = 0; at < group.length; at += 2) facts.set(group[at], group[at + 1]);
  return facts.get('last-delivered-id') === id && facts.get('pending') === 0;
}

test('webhook.ts: a hook gets the event with its id as the key, and again after an error', async () => {
  const keys: unknown[] = [];
  const hook = createServer((request, response) => {
    keys.push([request.url, request.headers['idempotency-key'], request.headers['content-type']]);
    request.resume();
    response.writeHead(keys.length === 1 ? 503 : 204).end();
  });
  await new Promise<void>((resolved) => {
    hook.listen(0, '127.0.0.1', resolved);
  });
  vi.stubEnv('HOOK_URL', `http://127.0.0.1:${(hook.address() as AddressInfo).port}`);
  const { relay } = await modules.load<{ relay: Relay }>('webhook.ts');
  const { value: id } = await idempotency.guard({ scope: 'ann', key: 'hook' }, ({ outbox }) =>
    outbox.add({ topic: 'payment.captured', payload: { amountCents: 1 } }),
  );
  const call = ['/payment.captured', id, 'application/json'];
  // A wait by chance could be over before the relay looks for more.
  const random = vi.spyOn(Math, 'random').mockReturnValue(1);
  expect(await relay.drain()).toEqual({ published: 0, failed: 1, dead: 0 });
  random.mockRestore();
  await owner.query('update graphql_idempotency.outbox set available_at = clock_timestamp()');
  expect(await relay.drain()).toEqual({ published: 1, failed: 0, dead: 0 });
  expect(keys).toEqual([call, call]);
  hook.close();
  hook.closeAllConnections();
});

test('operate.ts: counts, pauses, and redrives', async () => {
  await idempotency.guard({ scope: 'ann', key: 'dead' }, ({ outbox }) =>
    outbox.add({ topic: 'payment.captured', payload: 1 }),
  );
  const failing = idempotency.relay({
    publish: () => Promise.reject(new Error('no such stream')),
    maxAttempts: 1,
    onError: () => {},
  });
  await failing.drain();
  await modules.load('operate.ts');
  expect(world.calls[0]).toBe('log 0 are ready, 0 are parked, 1 are dead; the oldest waits for 0 ms');
  expect(world.calls[1]).toMatch(/^log payment\.captured [\da-f-]{36}: no such stream$/);
  expect(await failing.pending()).toMatchObject({ ready: 1, dead: 0 });
});

test('the rights of docs/configuration.md suffice for a role that only relays, and two more for one that pauses', async () => {
  await idempotency.guard({ scope: 'ann', key: 'relayed' }, ({ outbox }) => {
    for (const payload of [1, 2]) outbox.add({ topic: 'payment.captured', key: 'ann', payload });
  });
  const role = `relay_${database.url.split('_').at(-1)}`;
  const [, grants] = codeBlocks('sql', 'docs/configuration.md');
  await owner.query(`create role ${role} login password '${role}'`);
  await owner.query(grants!.code.replaceAll('to relay;', `to ${role};`));
  const asRole = new URL(database.url);
  asRole.username = role;
  asRole.password = role;
  const limited = createIdempotency({
    scope: () => undefined,
    postgres: asRole.href,
    redis: false,
    sweepInterval: 0,
    // What is refused is tried for as long.
    probeTimeout: 100,
  });
  let refuses = true;
  const relay = limited.relay({
    publish() {
      if (refuses) throw new Error('refused');
    },
    maxAttempts: 1,
    onError: () => {},
  });
  expect(await relay.drain()).toEqual({ published: 0, failed: 1, dead: 1 });
  refuses = false;
  expect(await relay.redrive({})).toBe(1);
  await expect(relay.pause('payment.captured')).rejects.toThrow();
  await owner.query(`grant insert, delete on graphql_idempotency.outbox_pause to ${role}`);
  await relay.pause('payment.captured');
  expect(await relay.drain()).toMatchObject({ published: 0 });
  await relay.resume('payment.captured');
  expect(await relay.drain()).toEqual({ published: 2, failed: 0, dead: 0 });
  await limited.close();
  await owner.query(`drop owned by ${role}; drop role ${role}`);
});

test('inbox-queue.ts: a message that is delivered twice is booked once, and one that fails comes again', async () => {
  await modules.load('inbox-queue.ts');
  expect(await queue.deliver('message-1', { user: 'ben' })).toBe('acknowledged');
  expect(await queue.deliver('message-1', { user: 'ben' })).toBe('acknowledged');
  expect(await rows('payments')).toEqual([{ user_id: 'ben', amount_cents: 1 }]);
  expect(await queue.deliver('message-2', {})).toBe('redelivered');
});

test('redrive.ts: dead letters are handled once they can be', async () => {
  const payload = Buffer.from(JSON.stringify({ user: 'cid', amountCents: 3 }));
  await idempotency.inbox.process(
    { consumer: 'bookkeeping', messageId: 'm-1', payload, maxAttempts: 1 },
    () => {
      throw new Error('a bug');
    },
  );
  await modules.load('redrive.ts');
  expect(world.calls).toEqual([
    'log bookkeeping m-1: a bug',
    'log 1 are handled now, 0 are dead letters still',
  ]);
  expect(await rows('ledger')).toEqual([{ user_id: 'cid', amount_cents: 3 }]);
});

test('receipts.ts: an email that may have been sent is sent again with the same key', async () => {
  type Send = (message: { messageId: string; payload: Buffer }) => Promise<InboxAnswer>;
  const { sendReceipt } = await modules.load<{ sendReceipt: Send }>('receipts.ts');
  const message = { messageId: 'm-1', payload: Buffer.from('{"user":"dan"}') };
  mailer.failsFor = 'dan';
  await expect(sendReceipt(message)).rejects.toThrow('the mailer did not answer');
  expect(await sendReceipt(message)).toEqual({ outcome: 'executed' });
  expect(await sendReceipt(message)).toEqual({ outcome: 'replayed' });
  const keys = mailer.sent.filter(([user]) => user === 'dan').map(([, key]) => key);
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(1);
});
