/** What the examples of schema libraries claim beside the behaviours that all examples share. */

import { randomUUID } from 'node:crypto';
import type { IntrospectionQuery } from 'graphql';
import { buildClientSchema, getIntrospectionQuery, printSchema } from 'graphql';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listExamples } from '../../../scripts/examples/list.mjs';
import { createDatabase, redisUrl } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { PostgresProxy } from '../../support/postgres-proxy.ts';
import { eventually, within } from '../../support/signal.ts';
import { root } from '../../docs/documents.ts';
import type { Answer, ExampleServer } from './example-server.ts';
import { startExample } from './example-server.ts';
import { preparedExamples } from './prepared.ts';

interface Served {
  readonly server: ExampleServer;
  readonly proxy: PostgresProxy;
  readonly database: TestDatabase;
}

const prepared = preparedExamples().filter(({ problem }) => problem === undefined);

const claimsOf: Readonly<Record<string, (served: () => Served) => void>> = {
  '11-type-graphql': typeGraphqlClaims,
  '12-nestjs': nestClaims,
  '13-federation': federationClaims,
};

test('the examples that have claims of their own are there', () => {
  expect(listExamples(root).map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(claimsOf)));
});

for (const { name, folder } of prepared.filter(({ kind }) => kind === 'schema')) {
  describe(name, () => {
    let served: Served | undefined;

    beforeAll(async () => {
      const database = await createDatabase();
      const proxy = await startPostgresProxy({ target: database.url });
      const server = await startExample({
        folder,
        databaseUrl: proxy.url,
        redisUrl: redisUrl(),
        nodeEnv: 'development',
      });
      served = { server, proxy, database };
    });

    afterAll(async () => {
      await served?.proxy.healAll();
      // A server that a test has ended already ignores it.
      await served?.server.end('SIGTERM');
      await served?.proxy.close();
      await served?.database.drop();
    });

    test('clients are shown where they may write a key, and nothing that only schema authors say', async () => {
      const answer = await served!.server.send({ query: getIntrospectionQuery(), user: 'anybody' });
      const sdl = printSchema(
        buildClientSchema(answer.data as unknown as IntrospectionQuery, { assumeValid: true }),
      );
      expect(sdl.match(/^directive @idempotent\([^)]*\) on .*$/gm)).toHaveLength(1);
      expect(sdl.replaceAll(/\s*"""[^"]*"""\s*/g, '')).toContain(
        'directive @idempotent(key: String!\n) on FIELD\n',
      );
      expect(sdl).not.toMatch(/IdempotencyMode|InFlightPolicy|AbandonedPolicy|Duration/);
    });

    claimsOf[name]?.(() => served!);
  });
}

function typeGraphqlClaims(served: () => Served): void {
  test('a middleware runs where the resolver runs, and not on a replay', async () => {
    const { server } = served();
    const user = `customer-${randomUUID()}`;
    const asked = (): number => lines(server, `timing: placeOrder of ${user} `);
    expect(await placeOrder(server, user, 'one')).toMatchObject({ status: 200, replayed: false });
    expect(asked()).toBe(1);
    expect(await placeOrder(server, user, 'one')).toMatchObject({ status: 200, replayed: true });
    expect(asked()).toBe(1);
    expect(await placeOrder(server, user, 'two')).toMatchObject({ status: 200, replayed: false });
    expect(asked()).toBe(2);
  });
}

function nestClaims(served: () => Served): void {
  test('guards and interceptors run where the resolver runs, and not on a replay', async () => {
    const { server } = served();
    const user = `customer-${randomUUID()}`;
    const asked = (): readonly number[] => [
      lines(server, `asked for ${user}`),
      lines(server, `ms for ${user}`),
    ];
    expect(await placeOrder(server, user, 'one')).toMatchObject({ status: 200, replayed: false });
    expect(asked()).toEqual([1, 1]);
    expect(await placeOrder(server, user, 'one')).toMatchObject({ status: 200, replayed: true });
    expect(asked()).toEqual([1, 1]);
    expect(await placeOrder(server, user, 'two')).toMatchObject({ status: 200, replayed: false });
    expect(asked()).toEqual([2, 2]);
  });

  test('the context is made on every call, a replay included', async () => {
    const { server } = served();
    expect(await placeOrder(server, '', 'one')).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  });

  test('a permission that was revoked stops a retry by authorizeReplay, and a new order by the guard', async () => {
    const { server, database } = served();
    const user = `customer-${randomUUID()}`;
    const first = await placeOrder(server, user, 'one');
    await query(database, 'insert into blocked values ($1)', [user]);
    const retry = await placeOrder(server, user, 'one');
    expect(retry, retry.text).toMatchObject({ code: 'FORBIDDEN', replayed: false });
    expect(lines(server, `asked for ${user}`)).toBe(1);
    const another = await placeOrder(server, user, 'two');
    expect(another, another.text).toMatchObject({ code: 'FORBIDDEN', replayed: false });
    expect(lines(server, `asked for ${user}`)).toBe(2);
    expect(await query(database, 'select from orders where customer = $1', [user])).toHaveLength(1);

    await query(database, 'delete from blocked where customer = $1', [user]);
    expect(await placeOrder(server, user, 'one')).toMatchObject({ replayed: true, data: first.data });
    // What the guard refused was not remembered as the answer.
    expect(await placeOrder(server, user, 'two')).toMatchObject({ status: 200, replayed: false });
  });

  test('a server that is told to stop gives the answer that is under way', async () => {
    const { server, proxy, database } = served();
    const user = `customer-${randomUUID()}`;
    const allWritten = proxy.on({ from: 'client', sql: /\.complete\(/ }, 'hold');
    const answer = placeOrder(server, user, 'last');
    // Awaited only after the server's end has begun; a failure until then is reported there.
    answer.catch(() => undefined);
    await within(allWritten.matched, { what: 'the record statement' });
    const end = server.end('SIGTERM');
    const refuses = async (): Promise<boolean> =>
      server.send({ query: '{ __typename }', user }).then(
        () => false,
        () => true,
      );
    await eventually(refuses, { what: 'a server that takes no new connections' });
    allWritten.release();
    expect(await answer).toMatchObject({ status: 200, replayed: false });
    await end;
    expect(await query(database, 'select from orders where customer = $1', [user])).toHaveLength(1);
  });
}

function federationClaims(served: () => Served): void {
  test('the router is given the SDL of the authors, with the field that is guarded', async () => {
    const answer = await served().server.send({ query: '{ _service { sdl } }', user: 'router' });
    const { sdl } = answer.data!['_service'] as { readonly sdl: string };
    expect(sdl).toMatch(/placeOrder\(product: String!, quantity: Int!\): Order! @idempotent$/m);
    for (const type of [
      'scalar Duration',
      'enum IdempotencyMode',
      'enum InFlightPolicy',
      'enum AbandonedPolicy',
    ])
      expect(sdl).toMatch(new RegExp(`^extend ${type}\\s+@inaccessible$`, 'm'));
  });

  test('an order is found by its reference, by its own customer', async () => {
    const { server } = served();
    const user = `customer-${randomUUID()}`;
    const first = await placeOrder(server, user, 'one');
    const { id } = first.data!['placeOrder'] as { readonly id: string };
    const find = async (who: string): Promise<Answer> =>
      server.send({
        query: `query ($of: [_Any!]!) { _entities(representations: $of) { ... on Order { id product points } } }`,
        variables: { of: [{ __typename: 'Order', id }] },
        user: who,
      });
    expect((await find(user)).data).toEqual({ _entities: [{ id, product: 'tea', points: 30 }] });
    expect((await find('somebody-else')).data).toEqual({ _entities: [null] });
    // As the router asks for what another subgraph has of the order: the reference is part of the answer.
    const retry = await server.send({
      query: 'mutation { placeOrder(product: "tea", quantity: 3) { __typename id } }',
      user,
      key: 'one',
    });
    expect(retry).toMatchObject({ replayed: true, data: { placeOrder: { __typename: 'Order', id } } });
  });
}

function placeOrder(server: ExampleServer, user: string, key: string): Promise<Answer> {
  const query = 'mutation { placeOrder(product: "tea", quantity: 3) { id product quantity points } }';
  return server.send({ query, user, key });
}

/** How often the server has printed this. */
function lines(server: ExampleServer, text: string): number {
  return server.output().split(text).length - 1;
}

async function query(database: TestDatabase, sql: string, values: readonly string[]): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}
