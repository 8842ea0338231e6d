/** The blocks about LEASE mode run, and do what the text around them says. */

import { ApolloServer } from '@apollo/server';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency, IdempotencyOptions } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createDatabase, redisUrl } from '../support/database.ts';
import { startBank } from './bank.ts';
import { codeBlocks } from './documents.ts';
import { writeModules } from './modules.ts';
import type { Context, world as preludeWorld } from './prelude.ts';
import type { Resolver } from './serve.ts';

const modules = writeModules();
const database = await createDatabase({ migrated: true });
const owner = new pg.Pool({ connectionString: database.url, max: 1 });
const bank = await startBank();
let world: typeof preludeWorld;
let idempotency: Idempotency<Context>;

interface Block {
  readonly idempotency: Idempotency<Context>;
  readonly typeDefs: string;
  readonly resolvers: Record<string, Record<string, Resolver>>;
}

interface Reply {
  readonly data: unknown;
  readonly outcome: string | undefined;
  readonly code: unknown;
  readonly error: string | undefined;
}

beforeAll(async () => {
  vi.stubEnv('DATABASE_URL', database.url);
  vi.stubEnv('REDIS_URL', redisUrl());
  vi.stubEnv('BANK_URL', bank.url);
  for (const level of ['info', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation(() => {});
  await owner.query(codeBlocks('sql', 'README.md')[0]!.code);
  // Not before: it reads the environment.
  ({ idempotency, world } = await import('./prelude.ts'));
});

beforeEach(() => {
  world.calls.length = 0;
  world.providerKeys.length = 0;
});

afterAll(async () => {
  await idempotency.close();
  bank.close();
  await owner.end();
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

test('lease.ts: a lost answer is asked for again with the same key, and the step behind it is booked once', async () => {
  const block = await modules.load<Block>('lease.ts');
  const service = await serve({ ...block, idempotency });
  const send = () => service.send('payOut(amountCents: 500)', 'readme');
  world.loseAnswer = true;
  expect(await send()).toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
  expect(await send()).toMatchObject({ data: 'payout 1', outcome: 'executed' });
  expect(await send()).toMatchObject({ data: 'payout 1', outcome: 'replayed' });
  expect(world.providerKeys).toHaveLength(2);
  expect(new Set(world.providerKeys).size).toBe(1);
  expect(await booked(-500)).toBe(1);
  await service.stop();
});

test('payout.ts: each answer of the bank means what the text says it means', async () => {
  const block = await modules.load<Block>('payout.ts');
  const service = await serve(block);
  const send = (key: string) =>
    service.send('payout(amountCents: 700, account: "a") { bankId amountCents }', key);

  bank.whims = [{ pays: true, status: 500 }];
  expect(await send('paid-and-failed')).toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
  const answer = { bankId: 'payment 1', amountCents: 700 };
  expect(await send('paid-and-failed')).toMatchObject({ data: answer, outcome: 'executed' });
  expect(await send('paid-and-failed')).toMatchObject({ data: answer, outcome: 'replayed' });
  expect(await booked(-700)).toBe(1);

  bank.whims = [{ pays: false, status: 422 }];
  const refused = { error: 'The bank refuses the account.' };
  expect(await send('refused')).toMatchObject(refused);
  expect(await send('refused')).toMatchObject(refused);

  bank.whims = [{ pays: false, status: 429 }];
  expect(await send('busy')).toMatchObject({ error: 'The bank is busy.' });
  expect(await send('busy')).toMatchObject({ data: { bankId: 'payment 2' }, outcome: 'executed' });

  bank.whims = [
    { pays: true, status: undefined },
    { pays: false, status: 429 },
  ];
  expect(await send('lost-then-busy')).toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
  // A later attempt can't say that nothing was done.
  expect(await send('lost-then-busy')).toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
  expect(await send('lost-then-busy')).toMatchObject({ data: { bankId: 'payment 3' }, outcome: 'executed' });

  // Asked 2 + 1 + 2 + 3 times, with a key for each payout.
  expect(bank.asked).toHaveLength(8);
  expect(new Set(bank.asked).size).toBe(4);
  await service.stop();
});

test('parallel-steps.ts: a step that is done is not repeated, and one that failed for good fails again', async () => {
  const { order } = await modules.load<{ order: Resolver }>('parallel-steps.ts');
  const service = await serve({
    idempotency,
    typeDefs: `type Query { ping: String }
      type Mutation { order(amountCents: Int!): String @idempotent(mode: LEASE, abandoned: RERUN) }`,
    resolvers: { Mutation: { order } },
  });
  const send = (key: string) => service.send('order(amountCents: 5)', key);
  world.loseAnswer = true;
  expect(await send('parallel')).toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
  expect(await send('parallel')).toMatchObject({ data: 'charge 1, parcel 1' });
  expect(world.providerKeys).toHaveLength(2);
  expect(world.calls).toHaveLength(1);

  world.soldOut = true;
  for (const _ of ['first', 'second'])
    expect(await send('sold-out')).toMatchObject({ error: 'there are none left' });
  expect(world.calls).toHaveLength(2);
  world.soldOut = false;
  await service.stop();
});

test('recover.ts and operators.ts: what the bank shows settles an attempt, else an operator does', async () => {
  const block = await modules.load<{ idempotency: Idempotency<Context>; wire: Resolver }>('recover.ts');
  const service = await serve({
    idempotency: block.idempotency,
    typeDefs: `type Query { ping: String }
      type Mutation { wire(amountCents: Int!, iban: String!): ID! @idempotent(mode: LEASE) }`,
    resolvers: { Mutation: { wire: block.wire } },
  });
  const send = (key: string) => service.send('wire(amountCents: 5, iban: "i")', key);
  const unknown = { code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' };

  bank.whims = [{ pays: true, status: undefined }];
  expect(await send('shown')).toMatchObject(unknown);
  expect(await send('shown')).toMatchObject({ data: expect.stringMatching(/^payment/), outcome: 'replayed' });

  bank.whims = [{ pays: false, status: undefined }];
  expect(await send('not-shown')).toMatchObject(unknown);
  expect(await send('not-shown')).toMatchObject(unknown);
  await owner.query(`update graphql_idempotency.record set abandoned_at = abandoned_at - interval '6 min'`);
  expect(await block.idempotency.recover()).toEqual({
    offered: 1,
    completed: 0,
    notExecuted: 1,
    unknown: 0,
  });
  expect(await send('not-shown')).toMatchObject({
    data: expect.stringMatching(/^payment/),
    outcome: 'executed',
  });

  // The last server that used it has stopped.
  await idempotency.open();
  type Settle = (...parameters: string[]) => Promise<string>;
  const operators = await modules.load<{
    listAbandoned: () => Promise<string[]>;
    wasTransferred: Settle;
    wasNotTransferred: Settle;
  }>('operators.ts');
  for (const key of ['found', 'not-found']) {
    bank.whims = [{ pays: false, status: 500 }];
    expect(await send(key)).toMatchObject(unknown);
    const lines = await operators.listAbandoned();
    expect(lines).toEqual([
      expect.stringMatching(/^[0-9a-f]{64} Mutation\.wire, attempt 1, since \S+Z: no step$/),
    ]);
    const [identity] = lines[0]!.split(' ');
    const settle = () =>
      key === 'found'
        ? operators.wasTransferred(identity!, 'payment 99')
        : operators.wasNotTransferred(identity!);
    expect(await settle()).toBe('resolved');
    expect(await settle()).toBe('not-abandoned');
  }
  expect(await send('found')).toMatchObject({ data: 'payment 99', outcome: 'replayed' });
  expect(await send('not-found')).toMatchObject({ outcome: 'executed' });
  await service.stop();
});

test('lease-settings.ts: these settings agree, and those that the text forbids do not', async () => {
  const block = await modules.load<{ idempotency: Idempotency<Context> }>('lease-settings.ts');
  const schema = 'type Query { ping: String } type Mutation { pay: ID @idempotent(mode: LEASE) }';
  const apply = async (instance: Idempotency<Context>): Promise<void> => {
    const { buildSchema } = await import('graphql');
    instance.applyTo(buildSchema(instance.typeDefs + schema));
  };
  await apply(block.idempotency);
  const contradictory: Partial<IdempotencyOptions<Context>>[] = [
    { lease: 1000, claimTimeout: 1000, attemptTimeout: 2000 },
    { lease: 1000, claimTimeout: 500, renewInterval: 501 },
    { attemptTimeout: 30_000 },
    { ttl: 40_000, lease: 40_000 },
  ];
  for (const options of contradictory) {
    const made = async (): Promise<void> =>
      apply(createIdempotency<Context>({ scope: ({ user }) => user, ...options }));
    await expect(made(), JSON.stringify(options)).rejects.toThrow(
      /^The setting `\w+` .* must be (?:longer|at most)/,
    );
  }
});

async function serve({ idempotency: instance, typeDefs, resolvers }: Block) {
  const server = new ApolloServer<Context>({
    typeDefs: [instance.typeDefs, typeDefs],
    resolvers,
    plugins: [instance.plugin()],
  });
  await server.start();
  return {
    stop: () => server.stop(),
    /** Calls a field, written without its key. */
    async send(field: string, key: string): Promise<Reply> {
      const [name] = field.split('(');
      const call = field.replace(')', `) @idempotent(key: "${key}")`);
      const { body } = await server.executeOperation(
        { query: `mutation { ${call} }` },
        { contextValue: { user: 'alice' } },
      );
      if (body.kind !== 'single') throw new Error('incremental delivery');
      const { data, errors, extensions } = body.singleResult;
      const told = extensions as { idempotency?: Record<string, { outcome: string }> } | undefined;
      return {
        data: data?.[name!],
        outcome: told?.idempotency?.[name!]?.outcome,
        code: errors?.[0]?.extensions?.['code'],
        error: errors?.[0]?.message,
      };
    },
  };
}

async function booked(amountCents: number): Promise<number> {
  const { rowCount } = await owner.query('select 1 from payments where amount_cents = $1', [amountCents]);
  return rowCount!;
}
