/** Whose key it is, what a key must look like on this server, and who may still see an answer. */

import { GraphQLError } from 'graphql';
import type { IdempotencyOptions } from 'graphql-idempotency';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Service, ServiceContext } from '../support/service.ts';
import { expectRefusal } from './refusal.ts';

type Options = IdempotencyOptions<ServiceContext>;

let service: Service;
let scope: Options['scope'];
let calls = 0;
let authorizeReplay: NonNullable<Options['authorizeReplay']>;
let keyFormat: (key: string) => boolean;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    options: {
      scope: (context, info) => {
        calls += 1;
        return scope(context, info);
      },
      authorizeReplay: (context, info) => authorizeReplay(context, info),
      keyFormat: (key) => keyFormat(key),
    },
    typeDefs: 'extend type Mutation { free: String @idempotent(required: false) plain: String }',
    resolvers: () => ({ Mutation: { free: () => 'free', plain: () => 'plain' } }),
  });
});
beforeEach(() => {
  scope = ({ user }) => user;
  authorizeReplay = () => {};
  keyFormat = () => true;
  calls = 0;
});
afterAll(() => service.stop());

describe('a caller without a scope', () => {
  test.each<readonly [string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['an empty string', ''],
    ['a number', 42],
    ['zero', 0],
    ['true', true],
    ['an object', { id: 'alice' }],
    ['an array', ['alice']],
    ['a String object', new String('alice')],
    ['a symbol', Symbol('alice')],
    ['a promise of undefined', Promise.resolve(undefined)],
    ['a function', () => 'alice'],
  ])('is refused, and shares no bucket: %s', async (_what, value) => {
    scope = () => value;
    const before = [service.runs(), await service.records()];
    for (const user of ['alice', 'bob']) {
      const reply = await service.send({ key: 'scopeless', user });
      expectRefusal(reply, 'SCOPE_MISSING', 500);
      expect(reply.body.errors[0].message).toMatch(/^Mutation\.pay: nothing was executed.*`scope`/);
    }
    expect([service.runs(), await service.records()]).toEqual(before);
  });

  test.each<readonly [string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('secret of the session store');
      },
    ],
    ['rejects', () => Promise.reject(new Error('secret of the session store'))],
    ['throws no error at all', () => Promise.reject(undefined)],
  ])('is refused where the function %s; the reason is for the log', async (what, failing) => {
    scope = failing;
    const runs = service.runs();
    const reply = await service.send({ key: 'scopeless' });
    expectRefusal(reply, 'SCOPE_MISSING', 500);
    expect(JSON.stringify(reply.body)).not.toMatch(/secret/);
    expect(service.runs()).toBe(runs);
    if (what === 'throws no error at all') return;
    const logged = service.log.findLast(({ level }) => level === 'warn');
    expect(logged?.facts).toMatchObject({
      code: 'IDEMPOTENCY_SCOPE_MISSING',
      cause: expect.objectContaining({ message: 'secret of the session store' }),
    });
  });

  test('hears the GraphQLError that the function throws', async () => {
    scope = () => {
      throw new GraphQLError('Log in first.', {
        extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
      });
    };
    const runs = service.runs();
    const reply = await service.send({ key: 'scopeless' });
    expect(reply.status).toBe(401);
    expect(reply.body.errors[0]).toMatchObject({
      message: 'Log in first.',
      extensions: { code: 'UNAUTHENTICATED' },
    });
    expect(service.runs()).toBe(runs);
  });

  test('may call what needs no key', async () => {
    scope = () => undefined;
    const reply = await service.send({ query: 'mutation { free plain }' });
    expect(reply.body.data).toEqual({ free: 'free', plain: 'plain' });
    expect(calls).toBe(0);
  });

  test('is refused on a field that may do without a key, if one was sent', async () => {
    scope = () => undefined;
    expectRefusal(await service.send({ query: 'mutation { free }', key: 'k' }), 'SCOPE_MISSING', 500);
  });
});

test('a scope may come from a promise, and is asked for once in an operation', async () => {
  scope = async ({ user }) => `tenant of ${user}`;
  const query =
    'mutation { a: pay(amount: 1) @idempotent(key: "once-a") { id } b: pay(amount: 1) @idempotent(key: "once-b") { id } }';
  const first = await service.send({ query });
  const again = await service.send({ query });
  expect(again.body.data).toEqual(first.body.data);
  expect(calls).toBe(2);
});

test('a guest with the id of a session as scope has keys of its own', async () => {
  scope = ({ user }) => user ?? 'session 1';
  const headers = { authorization: '' };
  const first = await service.send({ key: 'guest', headers });
  const again = await service.send({ key: 'guest', headers });
  expect(again.body.data).toEqual(first.body.data);
  expect((await service.send({ key: 'guest' })).body.extensions.idempotency.pay.outcome).toBe('executed');
});

test('a demanded format holds for every source, and its function is never shown another form', async () => {
  const seen: string[] = [];
  keyFormat = (key) => {
    seen.push(key);
    return key.startsWith('good-');
  };
  const runs = service.runs();
  const directive = (key: string) => ({
    query: `mutation { pay(amount: 1) @idempotent(key: "${key}") { id } }`,
  });
  for (const sent of [{ key: 'bad-1' }, { extensions: { idempotencyKey: 'bad-2' } }, directive('bad-3')]) {
    const reply = await service.send(sent);
    expectRefusal(reply, 'KEY_INVALID', 400);
    expect(JSON.stringify(reply.body)).not.toMatch(/bad-/);
  }
  expectRefusal(await service.send(directive('not visible')), 'KEY_INVALID', 400);
  expect(service.runs()).toBe(runs);
  expect((await service.send({ key: 'good-1' })).status).toBe(200);
  expect(seen).toEqual(['bad-1', 'bad-2', 'bad-3', 'good-1']);
});

describe('the format "uuid"', () => {
  test('is checked and not folded', async () => {
    const { url } = await createDatabase({ migrated: true });
    const uuids = await startService({ databaseUrl: url, options: { keyFormat: 'uuid' } });
    try {
      expectRefusal(await uuids.send({ key: 'aaaa' }), 'KEY_INVALID', 400);
      for (const key of ['a6e1d2c3-0000-4000-8000-00000000000a', 'A6E1D2C3-0000-4000-8000-00000000000A']) {
        expect((await uuids.send({ key })).body.extensions.idempotency.pay.outcome).toBe('executed');
      }
    } finally {
      await uuids.stop();
    }
  });
});

describe('a caller whose permission was revoked since', () => {
  const denied = (): never => {
    throw new GraphQLError('No longer.', { extensions: { code: 'FORBIDDEN', http: { status: 403 } } });
  };

  test('gets no answer of the past, and nothing runs', async () => {
    const first = await service.send({ key: 'revoked' });
    const runs = service.runs();
    authorizeReplay = async ({ user }, info) => {
      expect([user, info.fieldName]).toEqual(['alice', 'pay']);
      denied();
    };
    const refused = await service.send({ key: 'revoked' });
    expect(refused.status).toBe(403);
    expect(refused.body.data).toEqual({ pay: null });
    expect(refused.code).toBe('FORBIDDEN');
    expect(refused.headers.get('idempotent-replayed')).toBeNull();
    expect(refused.body.extensions).toBeUndefined();
    authorizeReplay = () => {};
    expect((await service.send({ key: 'revoked' })).body.data).toEqual(first.body.data);
    expect(service.runs()).toBe(runs);
  });

  test('is asked for a replay only', async () => {
    authorizeReplay = denied;
    expect((await service.send({ key: 'never-replayed' })).status).toBe(200);
    expectRefusal(await service.send({ key: 'never-replayed', variables: { amount: 5 } }), 'KEY_REUSED', 422);
  });

  test('learns of a failing check that it failed', async () => {
    await service.send({ key: 'check-fails' });
    authorizeReplay = () => Promise.reject(new Error('the permission service is down'));
    const reply = await service.send({ key: 'check-fails' });
    expect(reply.body.data).toEqual({ pay: null });
    expect(reply.code).toBe('INTERNAL_SERVER_ERROR');
  });
});
