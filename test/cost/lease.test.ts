/** What a call of lease mode costs, counted on the wire: round trips and commits, not one more than promised. */

import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Idempotency, Step } from 'graphql-idempotency';
import { deferred, eventually } from '../support/signal.ts';
import type { Reply, ServiceContext } from '../support/service.ts';
import { startProxied } from './proxied-service.ts';
import type { ProxiedOptions, ProxiedService } from './proxied-service.ts';

type Wire = (means: { readonly step: Step }) => unknown;

interface Leased extends ProxiedService {
  /** Sends the mutation of a key; `field` is `wire`, or `wireAwaited` for one that waits. */
  wire(key: string, field?: 'wire' | 'wireAwaited'): Promise<Reply>;
}

async function startLeased(resolve: Wire, options: ProxiedOptions = {}): Promise<Leased> {
  const resolver =
    (idempotency: Idempotency<ServiceContext>) =>
    (_: unknown, __: unknown, ___: unknown, info: never): unknown =>
      resolve(idempotency.current(info));
  const proxied = await startProxied({
    ...options,
    typeDefs: `extend type Mutation {
      wire: Int @idempotent(mode: LEASE)
      wireAwaited: Int @idempotent(mode: LEASE, inFlight: WAIT)
    }`,
    resolvers: (idempotency) => ({
      Mutation: { wire: resolver(idempotency), wireAwaited: resolver(idempotency) },
    }),
  });
  const wire: Leased['wire'] = (key, field = 'wire') =>
    proxied.service.send({ key, query: `mutation { wire: ${field} }` });
  // What is parsed once for each connection is not counted.
  await wire('warm-up-lease');
  await proxied.reset();
  return { ...proxied, wire };
}

function costs({ postgres }: Leased): { roundTrips: number; commits: number; rollbacks: number } {
  const { roundTrips, commits, autocommits, rollbacks } = postgres.counts();
  return { roundTrips, commits: commits + autocommits, rollbacks };
}

describe.each([true, false])('a first execution (Redis: %s)', (redis) => {
  test('without steps takes two Postgres round trips, and two commits', async () => {
    const leased = await startLeased(() => 1, { redis });
    const reply = await leased.wire('a');
    expect(reply.body.extensions.idempotency.wire.outcome).toBe('executed');
    expect(costs(leased)).toEqual({ roundTrips: 2, commits: 2, rollbacks: 0 });
    if (!redis) return;
    await eventually(() => leased.redis.counts().commands.length === 2);
    expect(leased.redis.counts().commands).toEqual(['GET', 'SET']);
    expect(costs(leased)).toEqual({ roundTrips: 2, commits: 2, rollbacks: 0 });
  });
});

test.each([1, 2, 5])('%i steps take one more each', async (steps) => {
  const leased = await startLeased(async ({ step }) => {
    for (let at = 0; at < steps; at += 1) await step(`step ${at}`, () => at);
    return 1;
  });
  await leased.wire('a');
  expect(costs(leased)).toEqual({ roundTrips: 2 + steps, commits: 2 + steps, rollbacks: 0 });
});

test('a step with a transaction takes one to begin, one for each of its statements, and one to commit', async () => {
  const leased = await startLeased(async ({ step }) => {
    await step.transaction('book', async (tx) => {
      await tx.query('insert into payments (amount) values (1)');
      return (await tx.query('select 1 as one')).rows.length;
    });
    return 1;
  });
  await leased.wire('a');
  expect(costs(leased)).toEqual({ roundTrips: 2 + 2 + 2, commits: 3, rollbacks: 0 });
});

test('a renewal takes one', async () => {
  let leased: Leased | undefined;
  const renewals = (): number =>
    leased!.postgres.counts().statements.filter((sql) => /set lease_until =/.test(sql)).length;
  leased = await startLeased(
    async () => {
      if (leased === undefined) return 1;
      // The first comes on a connection that is new, and looked at before.
      await eventually(() => costs(leased!).commits >= 3);
      leased.postgres.reset();
      await eventually(() => renewals() >= 3);
      return 1;
    },
    { options: { lease: 6000, renewInterval: 200 } },
  );
  await leased.wire('a');
  await eventually(() => costs(leased).commits === renewals() + 1);
  expect(costs(leased)).toEqual({ roundTrips: renewals() + 1, commits: renewals() + 1, rollbacks: 0 });
});

describe('a replay', () => {
  test('from Redis costs one look into Redis, and nothing of Postgres', async () => {
    const leased = await startLeased(() => 1);
    await leased.wire('a');
    await leased.reset();
    expect((await leased.wire('a')).headers.get('idempotent-replayed')).toBe('true');
    expect(leased.redis.counts()).toMatchObject({ connections: 0, roundTrips: 1, commands: ['GET'] });
    expect(leased.postgres.counts()).toMatchObject({ connections: 0, roundTrips: 0, statements: [] });
  });

  test('from Postgres costs one round trip, and writes nothing', async () => {
    const leased = await startLeased(() => 1, { redis: false });
    await leased.wire('a');
    const before = await writes(leased);
    await leased.reset();
    expect((await leased.wire('a')).headers.get('idempotent-replayed')).toBe('true');
    expect(costs(leased)).toMatchObject({ roundTrips: 1 });
    expect(await writes(leased)).toEqual(before);
  });
});

test('an error that says that nothing was done costs its claim and its release', async () => {
  let fails = false;
  const leased = await startLeased(
    () => {
      if (!fails) return 1;
      throw Object.assign(new Error('no'), { release: true });
    },
    {
      options: { releaseError: (error) => (error as { release?: boolean }).release === true },
    },
  );
  fails = true;
  expect((await leased.wire('a')).body.errors).toHaveLength(1);
  expect(costs(leased)).toEqual({ roundTrips: 2, commits: 2, rollbacks: 0 });
});

test('a call that waits asks now and then, and holds no connection meanwhile', async () => {
  const running = deferred();
  const gate = deferred();
  let waits = false;
  const leased = await startLeased(async () => {
    if (!waits) return 1;
    running.resolve();
    await gate.promise;
    return 1;
  });
  const { service: other, postgres } = await startProxied({
    redis: false,
    options: { poolSize: 1, reservedPoolSize: 1 },
    typeDefs: 'extend type Mutation { wireAwaited: Int @idempotent(mode: LEASE, inFlight: WAIT) }',
    resolvers: () => ({ Mutation: { wireAwaited: () => 2 } }),
    databaseUrl: leased.databaseUrl,
  });
  onTestFinished(() => gate.resolve());
  waits = true;
  const first = leased.wire('a', 'wireAwaited');
  await running.promise;
  const second = other.send({ key: 'a', query: 'mutation { wire: wireAwaited }' });
  await eventually(() => postgres.counts().statements.filter((sql) => /claim_lease/.test(sql)).length >= 3);
  // Its only connection is free for others between two questions.
  expect((await other.send({ key: 'another' })).status).toBe(200);
  gate.resolve();
  expect((await first).body.data.wire).toBe(1);
  const waited = await second;
  expect(waited.body.data.wire).toBe(1);
  expect(waited.headers.get('idempotent-replayed')).toBe('true');
});

/** Who wrote and who locked each record last. */
async function writes({ databaseUrl }: Leased): Promise<unknown> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query(
    'select identity, xmin::text, xmax::text from graphql_idempotency.record order by identity',
  );
  await client.end();
  return rows;
}
