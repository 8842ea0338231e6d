/** Calls of `guard()` and guarded fields of one instance: one store, one identity, and names that differ. */

import { makeExecutableSchema } from '@graphql-tools/schema';
import { buildASTSchema, execute, parse } from 'graphql';
import type { GraphQLResolveInfo, GraphQLSchema } from 'graphql';
import { ConfigurationError, createIdempotency } from 'graphql-idempotency';
import type { CurrentAttempt, GuardCall, IdempotencyOptions } from 'graphql-idempotency';
import type { Pool } from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codeOf, startCalls } from './calls.ts';
import type { Calls, Context } from './calls.ts';

let calls: Calls;
let schema: GraphQLSchema;
let key: string;
let keys = 0;
/** What the resolver of `pay` does. */
let during: (attempt: CurrentAttempt) => unknown;

const SDL = `
  type Query { ping: String }
  type Mutation { pay(payload: Int): String @idempotent  wire(n: Int): String @idempotent(mode: LEASE) }
`;

beforeAll(async () => {
  calls = await startCalls();
  schema = calls.idempotency.applyTo(
    makeExecutableSchema({
      typeDefs: [calls.idempotency.typeDefs, SDL],
      resolvers: {
        Mutation: {
          pay: (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) =>
            during(calls.idempotency.current(info)),
        },
      },
    }),
  );
});
beforeEach(async () => {
  key = `key-${(keys += 1)}`;
  during = () => 'paid';
  await calls.sql('truncate effects');
});

const guard = <T>(more: Partial<GuardCall>, run: (attempt: CurrentAttempt) => T | Promise<T>) =>
  calls.idempotency.guard({ name: 'pay', scope: 'alice', key, payload: 5, ...more }, run);

async function pay(): Promise<unknown> {
  const { data, errors } = await execute({
    schema,
    document: parse('mutation ($key: String!) { pay(payload: 5) @idempotent(key: $key) }'),
    variableValues: { key },
    contextValue: { user: 'alice' },
  });
  return errors?.[0]?.extensions['code'] ?? errors?.[0]?.message ?? data?.['pay'];
}

describe('one key of one scope is one identity', () => {
  test('a key that a field has used is KEY_REUSED for a call, with the same payload, too', async () => {
    expect(await pay()).toBe('paid');
    expect(await codeOf(guard({}, () => 'other'))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await pay()).toBe('paid');
  });

  test('a key that a call has used is KEY_REUSED for a field', async () => {
    await guard({}, () => 'called');
    during = () => 'never';
    expect(await pay()).toBe('IDEMPOTENCY_KEY_REUSED');
  });

  test('while one is at work, the other is told that it is in progress', async () => {
    const told: unknown[] = [];
    during = async () => {
      told.push(await codeOf(guard({}, () => 'never')));
      return 'paid';
    };
    expect(await pay()).toBe('paid');
    key += '-too';
    await guard({}, async () => void told.push(await pay()));
    expect(told).toEqual(['IDEMPOTENCY_IN_PROGRESS', 'IDEMPOTENCY_IN_PROGRESS']);
  });

  test.each(['Mutation.pay', 'Mutation.none', 'Query.ping'])(
    'a call named %s, like a field, is refused',
    async (name) => {
      await expect(guard({ name }, () => 'never')).rejects.toThrow(TypeError);
    },
  );
});

describe('the pool that joins', () => {
  let pool: Pool;
  beforeAll(() => {
    pool = calls.idempotency.pool;
  });
  const insert = async (name: string): Promise<void> =>
    void (await pool.query('insert into effects (name) values ($1)', [name]));

  test('inside `run`, its queries are the attempt: rolled back with it, and committed with its record', async () => {
    const failing = guard({}, async () => {
      await insert('lost');
      expect(await calls.effects()).toEqual([]);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await guard({}, async ({ tx }) => {
      await insert('through the pool');
      await calls.write(tx, 'through tx');
    });
    expect(await calls.effects()).toEqual(['through the pool', 'through tx']);
  });

  test('a call inside a field is an attempt of its own, and stays when that is rolled back', async () => {
    during = async () => {
      await insert('outer, before');
      await guard({ key: `${key}-inner` }, () => insert('inner'));
      await insert('outer, after');
      throw new Error('rolled back');
    };
    expect(await pay()).toBe('rolled back');
    expect(await calls.effects()).toEqual(['inner']);
    during = async () => {
      await insert('outer');
      const { outcome } = await guard({ key: `${key}-inner` }, () => insert('again'));
      return outcome;
    };
    expect(await pay()).toBe('replayed');
    expect(await calls.effects()).toEqual(['inner', 'outer']);
  });

  test('nor does a lease inside an attempt write through that: what it says is done would be undone', async () => {
    during = async () => {
      await guard({ key: `${key}-inner`, mode: 'LEASE' }, () => insert('inner'));
      throw new Error('rolled back');
    };
    expect(await pay()).toBe('rolled back');
    expect(await calls.effects()).toEqual(['inner']);
  });

  test('where every connection is an outer attempt’s, an inner one is refused in time, and the outer goes on', async () => {
    const narrow = await startCalls({ beside: calls, poolSize: 1, acquireTimeout: 1500 });
    const call = { scope: 'alice', key };
    const answer = await narrow.idempotency.guard(call, () =>
      codeOf(narrow.idempotency.guard({ ...call, key: `${key}-inner` }, () => 'never')),
    );
    expect(answer).toEqual({ outcome: 'executed', value: 'IDEMPOTENCY_STORE_UNAVAILABLE' });
  });

  test('what authorizeReplay queries is outside, too', async () => {
    const inner = { key: `${key}-inner`, authorizeReplay: () => insert('asked') };
    await guard(inner, () => 1);
    during = async () => {
      await guard(inner, () => 2);
      throw new Error('rolled back');
    };
    await pay();
    expect(await calls.effects()).toEqual(['asked']);
  });
});

describe('the option `recover`', () => {
  const unknown = () => ({ outcome: 'unknown' }) as const;

  function refusalOf(name: string, sdl = SDL): string | undefined {
    const options = { scope: () => 'alice', postgres: 'postgres://localhost/none', redis: false } as const;
    const instance = createIdempotency({
      ...options,
      recover: { [name]: unknown },
    } satisfies IdempotencyOptions<Context>);
    try {
      instance.applyTo(buildASTSchema(parse(`${instance.typeDefs} ${sdl}`)));
      return undefined;
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError);
      return (error as Error).message;
    }
  }

  test.each(['payout', 'jobs.daily', 'capture payment', 'constructor', 'pay'])(
    'may name the calls %s',
    (name) => {
      expect(refusalOf(name)).toBeUndefined();
    },
  );

  test.each([
    ['Mutation.pay', /^The option `recover` names Mutation\.pay, which is no field with mode: LEASE\./],
    ['Mutation.unheardOf', /names Mutation\.unheardOf, which is no field with mode: LEASE\.$/],
    ['Mutation.wrie', /Did you mean Mutation\.wire\?$/],
    [
      'Mutations.wire',
      /too much like one to be the name of guard\(\) calls\. Did you mean Mutation\.wire\?$/,
    ],
    ['mutation.wire', /Did you mean Mutation\.wire\?$/],
    ['wire', /Did you mean Mutation\.wire\?$/],
    ['Wire', /Did you mean Mutation\.wire\?$/],
    ['', /no field with mode: LEASE/],
    ['x'.repeat(256), /no field with mode: LEASE/],
  ])('may not be "%s"', (name, message) => {
    expect(refusalOf(name)).toMatch(message);
  });

  test('knows a root type by its own name', () => {
    const renamed = `schema { query: Query mutation: Writes } ${SDL.replace('type Mutation', 'type Writes')}`;
    expect(refusalOf('Writes.wire', renamed)).toBeUndefined();
    expect(refusalOf('Writes.pay', renamed)).toMatch(/no field with mode: LEASE/);
    expect(refusalOf('Mutation.pay', renamed)).toMatch(/no field with mode: LEASE/);
    expect(refusalOf('payout', renamed)).toBeUndefined();
  });

  test('of a field that is there is accepted', () => {
    expect(refusalOf('Mutation.wire')).toBeUndefined();
  });
});
