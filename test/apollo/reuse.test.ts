/** Which requests are the same request, and what is said of a key that was used for another one. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { SendOptions, Service } from '../support/service.ts';
import { expectRefusal } from './refusal.ts';

let service: Service;
let keys = 0;
beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    typeDefs: `
      enum Speed { SLOW FAST }
      input Address { street: String, city: String }
      input OrderInput { amount: Int! = 1, price: Float, tags: [String!], address: Address, speed: Speed = SLOW }
      extend type Mutation {
        order(input: OrderInput! = {}, note: String = "none"): String @idempotent
        other(input: OrderInput! = {}, note: String = "none"): String @idempotent
      }
    `,
    resolvers: () => ({ Mutation: { order: () => 'ordered', other: () => 'other' } }),
  });
});
afterAll(() => service.stop());

async function outcomeOfSecond(first: SendOptions, second: SendOptions): Promise<string> {
  const key = `reuse-${(keys += 1)}`;
  const one = await service.send({ key, ...first });
  expect(one.body.errors).toBeUndefined();
  const two = await service.send({ key, ...second });
  if (two.code !== undefined) {
    expectRefusal(two, 'KEY_REUSED', 422);
    return 'reused';
  }
  expect(two.headers.get('idempotent-replayed')).toBe('true');
  return 'replayed';
}

const order = (args: string): SendOptions => ({
  query: `mutation { order${args === '' ? '' : `(${args})`} }`,
});

describe('the same meaning replays', () => {
  test.each<readonly [string, SendOptions, SendOptions]>([
    ['an omitted and an explicit default', order(''), order('input: {}, note: "none"')],
    [
      'an omitted and an explicit default within an input',
      order('input: {}'),
      order('input: { amount: 1, speed: SLOW }'),
    ],
    ['1, 1.0 and 1e0', order('input: { price: 1 }'), order('input: { price: 1.0e0 }')],
    ['-0 and 0', order('input: { price: -0.0 }'), order('input: { price: 0 }')],
    [
      'the order of keys in an input',
      order('input: { amount: 2, address: { street: "s", city: "c" } }'),
      order('input: { address: { city: "c", street: "s" }, amount: 2 }'),
    ],
    ['the order of arguments', order('note: "n", input: {}'), order('input: {}, note: "n"')],
    ['one tag and a list of it', order('input: { tags: "a" }'), order('input: { tags: ["a"] }')],
    [
      'literals and variables',
      order('input: { amount: 7 }, note: "n"'),
      {
        query: 'mutation ($input: OrderInput!, $n: String) { order(input: $input, note: $n) }',
        variables: { n: 'n', input: { amount: 7 } },
      },
    ],
    [
      'whitespace, operation name, alias and fragments',
      order('note: "n"'),
      {
        query: 'mutation Named {\n  ...F\n}\nfragment F on Mutation { renamed: order(note: "n") __typename }',
      },
    ],
    ['a block string of the same text', order('note: "n"'), order('note: """\n  n\n"""')],
  ])('%s', async (_what, first, second) => {
    expect(await outcomeOfSecond(first, second)).toBe('replayed');
  });

  test('another selection is applied to the first result', async () => {
    const key = 'selection';
    const first = await service.send({ key, query: 'mutation { pay(amount: 5, note: "x") { id } }' });
    const second = await service.send({
      key,
      query: 'mutation { p: pay(amount: 5, note: "x") { note amount __typename } }',
    });
    expect(first.body.data.pay).toEqual({ id: expect.any(String) });
    expect(second.body.data).toEqual({ p: { note: 'x', amount: 5, __typename: 'Payment' } });
    expect(second.body.extensions.idempotency).toEqual({ p: { outcome: 'replayed' } });
  });
});

describe('another meaning is refused, and nothing runs', () => {
  test.each<readonly [string, SendOptions, SendOptions]>([
    ['another argument', order('note: "n"'), order('note: "m"')],
    ['null and absent', order('input: {}'), order('input: {}, note: null')],
    ['null and absent in an input', order('input: {}'), order('input: { address: null }')],
    ['an empty and an absent list', order('input: {}'), order('input: { tags: [] }')],
    ['the order of a list', order('input: { tags: ["a", "b"] }'), order('input: { tags: ["b", "a"] }')],
    ['joined and separate strings', order('input: { tags: ["a", "b"] }'), order('input: { tags: ["a,b"] }')],
    ['another value of an enum', order('input: { speed: SLOW }'), order('input: { speed: FAST }')],
    ['a string and the number it shows', order('note: "1"'), order('input: { amount: 1 }, note: "1 "')],
    ['another field with the same arguments', order('note: "n"'), { query: 'mutation { other(note: "n") }' }],
  ])('%s', async (_what, first, second) => {
    expect(await outcomeOfSecond(first, second)).toBe('reused');
  });

  test('tells nothing of what the key was used for', async () => {
    const key = 'secret-purpose';
    await service.send({ key, variables: { amount: 4711, note: 'first-secret' } });
    const runs = service.runs();
    const reply = await service.send({ key, variables: { amount: 4712, note: 'second-secret' } });
    expectRefusal(reply, 'KEY_REUSED', 422);
    expect(JSON.stringify(reply.body) + JSON.stringify([...reply.headers])).not.toMatch(/471|secret/);
    expect(reply.headers.get('idempotent-replayed')).toBeNull();
    expect(service.runs()).toBe(runs);
    // The refusal has not touched the record.
    const again = await service.send({ key, variables: { amount: 4711, note: 'first-secret' } });
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });
});

test("another user's key is another key, and says nothing of the first", async () => {
  const replies = [];
  for (const user of ['ann', 'bob']) {
    replies.push(
      await service.send({ key: 'shared-by-chance', user, variables: { amount: user === 'ann' ? 1 : 2 } }),
    );
  }
  expect(replies.map(({ body }) => body.extensions.idempotency.pay.outcome)).toEqual([
    'executed',
    'executed',
  ]);
  expect(replies[1]!.body.data.pay.amount).toBe(2);
  const again = await service.send({ key: 'shared-by-chance', user: 'ann', variables: { amount: 1 } });
  expect(again.body.data).toEqual(replies[0]!.body.data);
});

test('services with a namespace of their own share a database, not keys', async () => {
  const { url } = await createDatabase({ migrated: true });
  const services: Service[] = [];
  for (const namespace of ['', 'one', 'two']) {
    services.push(await startService({ databaseUrl: url, options: { namespace } }));
  }
  try {
    for (const each of services) {
      const reply = await each.send({ key: 'k' });
      expect(reply.body.extensions.idempotency.pay.outcome).toBe('executed');
    }
    expect(await services[0]!.payments()).toHaveLength(3);
  } finally {
    await Promise.all(services.map((each) => each.stop()));
  }
});
