/** What a key may look like, from each of its sources, over real HTTP. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Reply, Service } from '../support/service.ts';
import { expectRefusal } from './refusal.ts';

const IN_DIRECTIVE = 'mutation ($k: String!) { pay(amount: 1) @idempotent(key: $k) { id } }';
const IN_ARGUMENT = 'mutation ($k: String) { order(input: { key: $k, amount: 1 }) }';

let service: Service;
beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    typeDefs: `
      scalar Any
      input OrderInput { key: String, anyKey: Any, amount: Int! }
      extend type Mutation {
        order(input: OrderInput!): Int @idempotent(keyArgument: "input.key")
        any(input: OrderInput!): Int @idempotent(keyArgument: "input.anyKey")
      }
    `,
    resolvers: () => ({
      Mutation: {
        order: (_: unknown, { input }: { input: { amount: number } }) => input.amount,
        any: () => 1,
      },
    }),
  });
});
afterAll(() => service.stop());

const sources: readonly (readonly [source: string, send: (key: unknown) => Promise<Reply>])[] = [
  ['the directive', (k) => service.send({ user: 'ann', query: IN_DIRECTIVE, variables: { k } })],
  ['the key argument', (k) => service.send({ user: 'bob', query: IN_ARGUMENT, variables: { k } })],
  ['the extension', (k) => service.send({ user: 'eve', extensions: { idempotencyKey: k } })],
];

const refusedKeys: readonly (readonly [what: string, key: string, reason: RegExp])[] = [
  ['empty', '', /is empty/],
  ['nothing but spaces', '   ', /visible ASCII/],
  ['with a leading space', ' sekret', /visible ASCII/],
  ['with a trailing space', 'sekret ', /visible ASCII/],
  ['of 256 characters', 's'.repeat(256), /at most 255/],
  ['of 10 MB', 's'.repeat(10_000_000), /at most 255/],
  ['with CR and LF', 'sekret\r\nset-cookie: a=b', /visible ASCII/],
  ['with a NUL', 'sekret\u0000', /visible ASCII/],
  ['with a DEL', 'sekret\u007f', /visible ASCII/],
  ['with an ANSI escape', '\u001b[31msekret', /visible ASCII/],
  ['with an accent', 'sékret', /visible ASCII/],
  ['that is mojibake', 'sÃ©kret', /visible ASCII/],
  ['with a combining accent', 'se\u0301kret', /visible ASCII/],
  ['with an emoji', 'sekret😀', /visible ASCII/],
  ['with a right-to-left override', 'sekret\u202e', /visible ASCII/],
  ['with a lone surrogate', 'sekret\ud800', /visible ASCII/],
];

describe.each(sources)('a key in %s', (_, send) => {
  test.each(refusedKeys)('%s is refused, and not echoed', async (_what, key, reason) => {
    const before = [service.runs(), await service.records()];
    const reply = await send(key);
    expectRefusal(reply, 'KEY_INVALID', 400);
    expect(reply.body.errors[0].message).toMatch(reason);
    const said = JSON.stringify(reply.body) + JSON.stringify([...reply.headers]);
    expect(said).not.toMatch(/sekret|kret|set-cookie|s{200}/);
    expect([service.runs(), await service.records()]).toEqual(before);
  });

  test.each([
    ['of 255 characters', 'x'.repeat(255)],
    ['of one character', '1'],
    ['that is easily guessed', 'aaaa'],
    ['named __proto__', '__proto__'],
    ['named constructor', 'constructor'],
    ['named toString', 'toString'],
    ['with SQL in it', `';drop/**/table/**/payments;--`],
    ['with a glob', '*'],
    ['with a Redis hash tag', '{slot}'],
    ['with quotes, commas and semicolons', `"a",'b';c`],
    [
      'of all visible characters',
      Array.from({ length: 94 }, (_none, n) => String.fromCharCode(33 + n)).join(''),
    ],
  ])('%s is accepted and replays', async (_what, key) => {
    const first = await send(key);
    const second = await send(key);
    expect(first.body.errors).toBeUndefined();
    expect(second.body.data).toEqual(first.body.data);
    expect(second.headers.get('idempotent-replayed')).toBe('true');
  });
});

describe('a key that is missing', () => {
  test('is demanded, naming the field and the ways to send it', async () => {
    const reply = await service.send();
    expectRefusal(reply, 'KEY_MISSING', 400);
    expect(reply.body.errors[0].message).toMatch(
      /Mutation\.pay requires an idempotency key\..*`Idempotency-Key`.*`@idempotent\(key:\)`/,
    );
    expect(reply.headers.get('retry-after')).toBeNull();
  });

  test.each([
    ['the extension is null', { extensions: { idempotencyKey: null } }],
    ['the key argument is null', { query: IN_ARGUMENT, variables: { k: null } }],
    ['the key argument is an undefined variable', { query: IN_ARGUMENT, variables: {} }],
    [
      'the directive has a variable that is null in spite of its default',
      {
        query: 'mutation ($k: String = "k") { pay(amount: 1) @idempotent(key: $k) { id } }',
        variables: { k: null },
        // What the client meant to send is lost, so no other key stands in for it.
        key: 'other',
      },
    ],
  ])('means that %s', async (_what, options) => {
    const runs = service.runs();
    expectRefusal(await service.send(options), 'KEY_MISSING', 400);
    expect(service.runs()).toBe(runs);
  });

  test('does not exist for GraphQL where the directive demands one', async () => {
    const runs = service.runs();
    for (const variables of [{}, { k: null }]) {
      const reply = await service.send({ query: IN_DIRECTIVE, variables });
      expect(reply.status).toBe(400);
      expect(reply.code).toBe('BAD_USER_INPUT');
    }
    expect(service.runs()).toBe(runs);
  });
});

describe('a key of another type', () => {
  test.each(['5', 'true', 'null', '{ a: 1 }', '["a"]', 'ENUM'])(
    'is refused by GraphQL in the directive: %s',
    async (literal) => {
      const runs = service.runs();
      const reply = await service.send({
        query: `mutation { pay(amount: 1) @idempotent(key: ${literal}) { id } }`,
      });
      expect(reply.status).toBe(400);
      expect(reply.code).toBe('GRAPHQL_VALIDATION_FAILED');
      expect(service.runs()).toBe(runs);
    },
  );

  test.each([[5], [true], [false], [0], [{ a: 1 }], [['a']], [[]]])(
    'is KEY_INVALID in the extension: %j',
    async (key) => {
      const runs = service.runs();
      const reply = await service.send({ extensions: { idempotencyKey: key } });
      expectRefusal(reply, 'KEY_INVALID', 400);
      expect(service.runs()).toBe(runs);
    },
  );

  test.each([[5], [true], [{ a: 1 }], [['a']]])('is KEY_INVALID through a custom scalar: %j', async (k) => {
    const query = 'mutation ($k: Any) { any(input: { anyKey: $k, amount: 1 }) }';
    expectRefusal(await service.send({ query, variables: { k } }), 'KEY_INVALID', 400);
  });
});

describe('keys that look alike are different keys', () => {
  test.each([
    ['scope and key joined by a separator', { user: 'x:a', key: 'b' }, { user: 'x', key: 'a:b' }],
    [
      'a UUID in upper and lower case',
      { key: 'A6E1D2C3-0000-4000-8000-00000000000A' },
      { key: 'a6e1d2c3-0000-4000-8000-00000000000a' },
    ],
    ['0 and 00', { key: '0' }, { key: '00' }],
  ])('%s', async (_what, one, other) => {
    const replies = [await service.send(one), await service.send(other)];
    expect(replies.map(({ body }) => body.extensions.idempotency.pay.outcome)).toEqual([
      'executed',
      'executed',
    ]);
  });
});
