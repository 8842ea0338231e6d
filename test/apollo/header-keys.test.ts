/** The `Idempotency-Key` header as bytes on a socket, and how it agrees with the other sources. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { PAY, startService } from '../support/service.ts';
import type { Reply, Service } from '../support/service.ts';
import { sendRaw, utf8Bytes } from './raw-http.ts';
import { expectRefusal } from './refusal.ts';

let service: Service;
beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    typeDefs: `
      input OrderInput { key: String, amount: Int! }
      extend type Mutation { order(input: OrderInput!): Int @idempotent(keyArgument: "input.key") }
    `,
    resolvers: () => ({ Mutation: { order: () => 1 } }),
  });
});
afterAll(() => service.stop());

async function sendWith(...values: readonly string[]): Promise<Reply> {
  return sendRaw(service.url, {
    headers: values.map((value) => ['Idempotency-Key', value] as const),
    body: { query: PAY },
  });
}

test.each([
  ['two different values', ['a', 'b'], /more than one/],
  ['two identical values', ['a', 'a'], /more than one/],
  ['two quoted values', ['"a"', '"a"'], /more than one/],
  ['an empty and a full value', ['', 'a'], /more than one/],
  ['a list in one header', ['a, b'], /more than one/],
  ['a list of quoted strings', ['"a","b"'], /more than one/],
  ['a parameter', ['"a";x=1'], /parameters/],
  ['a bare value with a parameter', ['a;x=1'], /parameters/],
  ['an opening quote alone', ['"a'], /well-formed/],
  ['a closing quote alone', ['a"'], /quote/],
  ['a lonely quote', ['"'], /well-formed/],
  ['an unknown escape', ['"a\\b"'], /well-formed/],
  ['an escape at the end', ['"a\\'], /well-formed/],
  ['text behind the closing quote', ['"a"b'], /well-formed/],
  ['nothing', [''], /is empty/],
  ['nothing in quotes', ['""'], /is empty/],
  ['only spaces', ['   '], /is empty/],
  ['spaces in quotes', ['" a"'], /visible ASCII/],
  ['a space within', ['a b'], /visible ASCII/],
  ['a tab within', ['a\tb'], /visible ASCII/],
  ['latin1', ['caf\u00e9'], /visible ASCII/],
  ['UTF-8', [utf8Bytes('café 😀')], /visible ASCII/],
  ['256 characters', ['k'.repeat(256)], /at most 255/],
  ['8,000 characters', ['k'.repeat(8000)], /at most 255/],
])('%s is refused', async (_what, values, reason) => {
  const before = [service.runs(), await service.records()];
  const reply = await sendWith(...values);
  expectRefusal(reply, 'KEY_INVALID', 400);
  expect(reply.body.errors[0].message).toMatch(reason);
  expect([service.runs(), await service.records()]).toEqual(before);
});

test('a quoted key is the same key as a bare one, whatever surrounds it', async () => {
  const replies = [];
  for (const value of ['one-key', '"one-key"', '  one-key  ', '\t"one-key" '])
    replies.push(await sendWith(value));
  expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(replies.map(({ headers }) => headers.get('idempotent-replayed'))).toEqual([
    null,
    'true',
    'true',
    'true',
  ]);
  expect(new Set(replies.map(({ body }) => body.data.pay.id)).size).toBe(1);
});

test('escapes in a quoted key are part of its form, not of the key', async () => {
  const first = await sendWith('"q\\"u\\\\o"');
  const again = await service.send({ extensions: { idempotencyKey: 'q"u\\o' } });
  expect(first.status).toBe(200);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
});

test('255 characters fit, escaped ones too', async () => {
  const replies = [await sendWith('k'.repeat(255)), await sendWith(`"${'\\"'.repeat(255)}"`)];
  expect(replies.map(({ status }) => status)).toEqual([200, 200]);
});

test('a header with a control character never arrives', async () => {
  const runs = service.runs();
  await expect(sendWith('a\u0000b')).rejects.toThrow(/Invalid character/);
  expect(service.runs()).toBe(runs);
});

describe('several sources', () => {
  const withDirective = (key: string): string =>
    `mutation { pay(amount: 100) @idempotent(key: "${key}") { id } }`;

  test('that agree are one key', async () => {
    const sent = { query: withDirective('agreed'), key: 'agreed', extensions: { idempotencyKey: 'agreed' } };
    const first = await service.send(sent);
    const again = await service.send({ query: 'mutation { pay(amount: 100) { id } }', key: 'agreed' });
    expect(first.status).toBe(200);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });

  test.each([
    ['header and directive', { query: withDirective('s-one'), key: 's-two' }],
    ['header and extension', { key: 's-one', extensions: { idempotencyKey: 's-two' } }],
    ['extension and directive', { query: withDirective('s-one'), extensions: { idempotencyKey: 's-two' } }],
    [
      'directive and key argument',
      { query: 'mutation { order(input: { key: "s-one", amount: 1 }) @idempotent(key: "s-two") }' },
    ],
    [
      'key argument and header',
      { query: 'mutation { order(input: { key: "s-one", amount: 1 }) }', key: 's-two' },
    ],
    ['keys that differ only in case', { query: withDirective('s-one'), key: 'S-ONE' }],
    [
      'two merged selections',
      {
        query: `mutation { pay(amount: 100) @idempotent(key: "s-one") { id } ...More }
          fragment More on Mutation { pay(amount: 100) @idempotent(key: "s-two") { amount } }`,
      },
    ],
  ])('that disagree are refused: %s', async (_what, sent) => {
    const before = [service.runs(), await service.records()];
    const reply = await service.send(sent);
    expectRefusal(reply, 'KEY_CONFLICT', 400);
    expect(JSON.stringify(reply.body)).not.toMatch(/s-one|s-two/i);
    expect([service.runs(), await service.records()]).toEqual(before);
  });

  test('of which one is malformed are refused for that one', async () => {
    expectRefusal(await service.send({ query: withDirective('fine'), key: 'not fine' }), 'KEY_INVALID', 400);
    expectRefusal(await service.send({ query: withDirective('not fine'), key: 'fine' }), 'KEY_INVALID', 400);
  });

  test('a key on one of two merged selections is the key of the field', async () => {
    const first = await service.send({
      query: `mutation { pay(amount: 100) @idempotent(key: "merged") { id } ...More }
        fragment More on Mutation { pay(amount: 100) { amount } }`,
    });
    const again = await service.send({ query: 'mutation { pay(amount: 100) { id amount } }', key: 'merged' });
    expect(first.body.data.pay.amount).toBe(100);
    expect(again.body.data).toEqual(first.body.data);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });
});
