/** Servers that start, fail to start, and share an instance. */

import { ApolloServer } from '@apollo/server';
import type { ApolloServerOptionsWithGateway } from '@apollo/server';
import { buildSchema } from 'graphql';
import type { Idempotency } from 'graphql-idempotency';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { SDL, add, createAdditions, serverOf, silent } from './additions.ts';
import type { Additions } from './additions.ts';

type Gateway = ApolloServerOptionsWithGateway<object>['gateway'];

let additions: Additions;
beforeAll(async () => {
  additions = await createAdditions();
});
afterAll(() => additions.end());

let name: string;
let names = 0;
beforeEach(() => {
  name = `server-life-${(names += 1)}`;
});

const instance = () => additions.instance(name);
const allClosed = () => additions.allClosed(name);

describe('servers that share', () => {
  test.each(['one instance', 'one plugin object'])(
    '%s guard the same keys, and the last to stop closes the pools',
    async (what) => {
      const KEY = what.replaceAll(' ', '-');
      const idempotency = instance();
      const plugin = idempotency.plugin();
      const servers = [0, 1].map(() => serverOf(idempotency, what === 'one instance' ? {} : { plugin }));
      for (const server of servers) await server.start();
      const first = await add(servers[0]!, KEY);
      expect(await add(servers[1]!, KEY)).toEqual({ id: first.id, outcome: 'replayed' });
      await servers[0]!.stop();
      expect(await additions.connections(name)).toBeGreaterThan(0);
      expect((await add(servers[1]!)).outcome).toBe('executed');
      await servers[1]!.stop();
      await allClosed();
    },
  );

  test('an instance may start again after the last one stopped', async () => {
    const idempotency = instance();
    for (const round of [1, 2]) {
      const server = serverOf(idempotency);
      await server.start();
      expect((await add(server, 'same')).outcome).toBe(round === 1 ? 'executed' : 'replayed');
      await server.stop();
      await allClosed();
    }
  });

  test('a server that starts while the last one stops has stores of its own', async () => {
    const idempotency = instance();
    const first = serverOf(idempotency);
    await first.start();
    const second = serverOf(idempotency);
    await Promise.all([first.stop(), second.start()]);
    expect((await add(second)).outcome).toBe('executed');
    await second.stop();
    await allClosed();
  });

  test('one that fails to start takes nothing from the others', async () => {
    const idempotency = instance();
    const plugin = idempotency.plugin();
    const good = serverOf(idempotency, { plugin });
    await good.start();
    const misplaced = serverOf(idempotency, {
      plugin,
      typeDefs: SDL.replace('ping: String', 'ping: String @idempotent'),
    });
    await expect(misplaced.start()).rejects.toThrow(/Query\.ping/);
    expect((await add(good)).outcome).toBe('executed');
    const load = async (): Promise<never> => {
      throw new Error('no supergraph');
    };
    const gateway: Gateway = { load, onSchemaLoadOrUpdate: () => () => {}, stop: async () => {} };
    // It fails before any plugin has heard of it.
    await expect(new ApolloServer({ gateway, plugins: [plugin], logger: silent }).start()).rejects.toThrow(
      'no supergraph',
    );
    expect((await add(good)).outcome).toBe('executed');
    await good.stop();
    await allClosed();
  });

  test("one that another plugin keeps from starting leaves no connection behind, and takes nobody else's", async () => {
    const idempotency = instance();
    const plugin = idempotency.plugin();
    const good = serverOf(idempotency, { plugin });
    await good.start();
    expect((await add(good)).outcome).toBe('executed');
    const bad = serverOf(idempotency, { plugin });
    bad.addPlugin({
      serverWillStart: async () => {
        throw new Error('not today');
      },
    });
    await expect(bad.start()).rejects.toThrow('not today');
    expect((await add(good)).outcome).toBe('executed');
    await good.stop();
    await allClosed();
  });

  test('a server that cannot start alone leaves no connection behind', async () => {
    const bad = serverOf(instance());
    bad.addPlugin({
      serverWillStart: async () => ({
        schemaDidLoadOrUpdate() {
          throw new Error('not today');
        },
      }),
    });
    await expect(bad.start()).rejects.toThrow('not today');
    await allClosed();
  });
});

describe('what cannot be guarded keeps the server from starting', () => {
  test('a schema that another instance has guarded', async () => {
    const { schema } = await schemaGuardedBy(instance());
    const other = instance();
    const server = new ApolloServer({ schema, plugins: [other.plugin()] });
    await expect(server.start()).rejects.toThrow(/already guarded by another instance/);
    await allClosed();
  });

  test('but not a schema that this instance has guarded', async () => {
    const idempotency = instance();
    const { schema } = await schemaGuardedBy(idempotency);
    const server = new ApolloServer({ schema, plugins: [idempotency.plugin()] });
    await server.start();
    await server.stop();
  });

  test('a federation gateway', async () => {
    const schema = buildSchema('type Query { ping: String } type Mutation { add: Int }');
    const listeners = new Set<(context: { apiSchema: typeof schema; coreSupergraphSdl: string }) => void>();
    const gateway: Gateway = {
      onSchemaLoadOrUpdate(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      async load() {
        for (const listener of listeners)
          listener({ apiSchema: schema, coreSupergraphSdl: 'schema { query: Query }' });
        return { executor: async () => ({}) };
      },
      stop: async () => {},
    };
    const server = new ApolloServer({
      gateway,
      plugins: [instance().plugin()],
      logger: silent,
    });
    await expect(server.start()).rejects.toThrow(/federation gateway.*subgraph/);
    await allClosed();
  });

  async function schemaGuardedBy(idempotency: Idempotency<object>) {
    const schema = buildSchema(`${idempotency.typeDefs} ${SDL}`);
    return { schema: idempotency.applyTo(schema) };
  }
});
