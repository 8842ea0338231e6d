/** The shorter TypeScript blocks of the documents run, and do what the text around them says. */

import { channel } from 'node:diagnostics_channel';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeExecutableSchema } from '@graphql-tools/schema';
import { graphql } from 'graphql';
import type { GraphQLSchema } from 'graphql';
import type { Redis } from 'ioredis';
import type { Idempotency, IdempotencyMessage, Relay } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createDatabase, redisUrl } from '../support/database.ts';
import { codeBlocks } from './documents.ts';
import { writeModules } from './modules.ts';
import type { Context, world as preludeWorld } from './prelude.ts';
import { serve } from './serve.ts';
import type { Resolver } from './serve.ts';

const modules = writeModules();
const database = await createDatabase({ migrated: true });
const owner = new pg.Pool({ connectionString: database.url, max: 1 });
const silent = { info() {}, warn() {}, error() {} };
let world: typeof preludeWorld;
let idempotency: Idempotency<Context>;

beforeAll(async () => {
  vi.stubEnv('DATABASE_URL', database.url);
  vi.stubEnv('REDIS_URL', redisUrl());
  for (const level of ['info', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation(silent[level]);
  await owner.query(codeBlocks('sql', 'README.md')[0]!.code);
  // Not before: it reads the environment.
  ({ idempotency, world } = await import('./prelude.ts'));
});

beforeEach(() => {
  world.calls.length = 0;
  world.revoked.clear();
});

afterAll(async () => {
  await idempotency.close();
  await owner.end();
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

test('authorize-replay.ts: the resolver and what wraps it are not run on a replay, authorizeReplay is', async () => {
  const block = await modules.load<{ idempotency: Idempotency<Context> }>('authorize-replay.ts');
  const { typeDefs } = await import('./prelude.ts');
  const charge = vi.fn(() => 5);
  const schema = makeExecutableSchema({
    typeDefs: [block.idempotency.typeDefs, typeDefs],
    resolvers: { Mutation: { charge } },
  });
  const field = schema.getMutationType()!.getFields()['charge']!;
  const resolve = field.resolve!;
  const check = vi.fn();
  field.resolve = (...parameters) => {
    check();
    return resolve(...parameters);
  };
  const service = await serve(block.idempotency, { schema });
  expect(await service.send('revoked')).toMatchObject({ charge: 5, outcome: 'executed' });
  expect(await service.send('revoked')).toMatchObject({ charge: 5, outcome: 'replayed' });
  world.revoked.add('alice');
  expect(await service.send('revoked')).toMatchObject({
    code: 'FORBIDDEN',
    error: 'You may no longer do this.',
  });
  expect(charge).toHaveBeenCalledTimes(1);
  expect(check).toHaveBeenCalledTimes(1);
  await service.stop();
});

test('apply-to.ts: what is wrapped around a field after applyTo runs on every attempt', async () => {
  const { schema } = await modules.load<{ schema: GraphQLSchema }>('apply-to.ts');
  const service = await serve(idempotency, { schema });
  expect(await service.send('wrapped')).toMatchObject({ charge: 5, outcome: 'executed' });
  expect(await service.send('wrapped')).toMatchObject({ charge: 5, outcome: 'replayed' });
  expect(world.calls).toEqual(['assertMayCall charge', 'charge', 'assertMayCall charge']);
  world.revoked.add('alice');
  expect(await service.send('wrapped')).toMatchObject({ error: 'forbidden' });
  await service.stop();
});

test('final-error.ts: a FinalError and what storeError chooses are remembered', async () => {
  const block = await modules.load<{ idempotency: Idempotency<Context>; charge: Resolver }>('final-error.ts');
  const charge = vi.fn(block.charge);
  const service = await serve(block.idempotency, { charge });
  for (const [key, n, code] of [
    ['declined', 200_000, 'CARD_DECLINED'],
    ['sold-out', 5, 'OUT_OF_STOCK'],
  ] as const) {
    expect(await service.send(key, n)).toMatchObject({ code });
    expect(await service.send(key, n)).toMatchObject({ code });
  }
  expect(charge).toHaveBeenCalledTimes(2);
  await service.stop();
});

test('derive-key.ts: the outside service gets the same key in every attempt', async () => {
  const block = await modules.load<{ charge: Resolver }>('derive-key.ts');
  const charge = async (...parameters: never[]): Promise<number> => {
    const { amountCents } = (await block.charge(...parameters)) as { amountCents: number };
    return amountCents;
  };
  const service = await serve(idempotency, { charge });
  world.loseAnswer = true;
  expect(await service.send('derived')).toMatchObject({ error: 'the answer was lost' });
  expect(await service.send('derived')).toMatchObject({ charge: 5, outcome: 'executed' });
  expect(await service.send('derived')).toMatchObject({ charge: 5, outcome: 'replayed' });
  expect(world.providerKeys).toHaveLength(2);
  expect(new Set(world.providerKeys).size).toBe(1);
  await service.stop();
});

test.each(['configuration.ts', 'options.ts'])(
  '%s: its keyFormat refuses short keys, and replays are audited',
  async (name) => {
    const block = await modules.load<{ idempotency: Idempotency<Context> }>(name);
    const service = await serve(block.idempotency, { charge: () => 5 });
    expect(await service.send('short')).toMatchObject({ code: 'IDEMPOTENCY_KEY_INVALID' });
    const long = `a-long-key-for-${name.replace('.', '-')}`;
    expect(await service.send(long)).toMatchObject({ outcome: 'executed' });
    expect(await service.send(long)).toMatchObject({ outcome: 'replayed' });
    expect(world.calls.filter((call) => call.startsWith('audit'))).toEqual(['audit alice charge']);
    await service.stop();
  },
);

test('code-first.ts: the field is guarded', async () => {
  const { schema } = await modules.load<{ schema: GraphQLSchema }>('code-first.ts');
  const service = await serve(idempotency, { schema });
  expect(await service.send('code-first', 77)).toMatchObject({ charge: 77, outcome: 'executed' });
  expect(await service.send('code-first', 77)).toMatchObject({ charge: 77, outcome: 'replayed' });
  const { rowCount } = await owner.query('select 1 from payments where amount_cents = 77');
  expect(rowCount).toBe(1);
  await service.stop();
});

test('other-server.ts: the key comes from where requestKeys says', async () => {
  const instance = (await modules.load<{ idempotency: Idempotency<object> }>('other-server.ts')).idempotency;
  const { GraphQLInt, GraphQLObjectType, GraphQLSchema: Schema } = await import('graphql');
  const resolve = vi.fn(() => 5);
  const fields = { charge: { type: GraphQLInt, extensions: { idempotent: true }, resolve } };
  const query = new GraphQLObjectType({ name: 'Query', fields: { one: { type: GraphQLInt } } });
  const mutation = new GraphQLObjectType({ name: 'Mutation', fields });
  const schema = instance.applyTo(new Schema({ query, mutation }));
  const request = { headers: { 'idempotency-key': 'from-the-header' } };
  const send = () =>
    graphql({ schema, source: 'mutation { charge }', contextValue: { user: 'alice', request } });
  expect(await send()).toEqual({ data: { charge: 5 } });
  expect(await send()).toEqual({ data: { charge: 5 } });
  expect(resolve).toHaveBeenCalledTimes(1);
  await instance.close();
});

test('own-redis.ts: such a client is accepted, used, and left open', async () => {
  const block = await modules.load<{ idempotency: Idempotency<Context>; redis: Redis }>('own-redis.ts');
  const service = await serve(block.idempotency, { charge: () => 5 });
  expect(await service.send('own-redis')).toMatchObject({ outcome: 'executed' });
  await service.stop();
  // Its own timeout is short, and a busy machine is no fault.
  await vi.waitFor(async () => expect(await block.redis.ping()).toBe('PONG'), 10_000);
  block.redis.disconnect();
});

test('event.ts: a charge’s event is published once it has committed, and a retry adds none', async () => {
  const { charge, relay } = await modules.load<{ charge: Resolver; relay: Relay }>('event.ts');
  const service = await serve(idempotency, { charge });
  await service.send('with-event');
  await service.send('with-event');
  const published = (): string[] => world.calls.filter((call) => call.includes('published'));
  await expect.poll(published, { timeout: 20_000 }).toHaveLength(1);
  expect(published()[0]).toMatch(/^log published payment\.captured as [\da-f-]{36}$/);
  expect(await relay.pending()).toMatchObject({ ready: 0, dead: 0 });
  await relay.stop();
  await service.stop();
});

test('telemetry.ts: it is told what became of a call, in messages of every type', async () => {
  await modules.load('telemetry.ts');
  const service = await serve(idempotency, { charge: () => 5 });
  await service.send('told');
  await idempotency.sweep();
  await service.stop();
  const messages: IdempotencyMessage[] = [
    { type: 'postgres', event: 'conflict' },
    { type: 'redis', event: 'forged' },
    { type: 'lease', event: 'taken-over', coordinate: 'Mutation.payOut', identity: 'ab', attempt: 2 },
    { type: 'relay', event: 'published', count: 1 },
    { type: 'inbox', event: 'dead', consumer: 'bookkeeping', identity: 'ab', error: new Error('no') },
  ];
  for (const message of messages) channel('graphql-idempotency').publish(message);
  expect(world.calls).toEqual(
    expect.arrayContaining([
      'count answered.executed Mutation.charge',
      'count swept 0',
      'count postgres.conflict',
      'count redis.forged',
      'count lease.taken-over Mutation.payOut',
      'count relay.published',
      'count inbox.dead',
    ]),
  );
});

test('migrate.ts and lifetime.ts: migrations that are there are not applied again, and stores open and close', async () => {
  expect(await modules.load('migrate.ts')).toMatchObject({ applied: [] });
  expect(await modules.load('lifetime.ts')).toMatchObject({ applied: [], stripped: 0, deleted: 0 });
});

test('error-table.ts: an error is described from the table', async () => {
  const { describe } = await modules.load<{ describe: (error: unknown) => string | undefined }>(
    'error-table.ts',
  );
  const { IdempotencyError } = await import('graphql-idempotency');
  const error = new IdempotencyError('IDEMPOTENCY_IN_PROGRESS', 'busy');
  expect(describe(error)).toBe('409 IDEMPOTENCY_IN_PROGRESS: Another call with this key is executing now.');
  expect(describe(new Error('other'))).toBeUndefined();
});

test('every block is loaded by a test', () => {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const tests = readdirSync(folder).filter((file) => file.endsWith('.test.ts'));
  const files = [...tests, '../brokers/documents.test.ts'];
  const text = files.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n');
  const blocks = [...codeBlocks('ts'), ...codeBlocks('tsx')];
  for (const { name } of blocks) expect(text).toContain(`'${name}'`);
});
