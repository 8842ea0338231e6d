/** What may be added, what is refused, and that what is refused adds nothing. */

import { beforeAll, expect, test } from 'vitest';
import { readEvent } from '../../src/outbox/event.ts';
import type { EventToAdd } from '../../src/outbox/event.ts';
import { startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;

beforeAll(async () => {
  setting = await startOutboxCase({ maxEventBytes: 1000 });
});

const event = (more: object): EventToAdd => ({ topic: 't', payload: 1, ...more });
const cycle: Record<string, unknown> = {};
cycle['self'] = cycle;

test.each([
  ['no object', null, /expects an object/],
  ['no topic', event({ topic: undefined }), /topic/],
  ['an empty topic', event({ topic: '' }), /topic/],
  ['a topic with a space', event({ topic: 'a b' }), /topic/],
  ['a topic with a wildcard', event({ topic: 'a.*' }), /topic/],
  ['a topic that is too long', event({ topic: 'a'.repeat(250) }), /topic/],
  ['an empty key', event({ key: '' }), /key/],
  ['a key with NUL', event({ key: 'a\u0000' }), /key/],
  ['a key with half a character', event({ key: '\ud800' }), /key/],
  ['a key that is no text', event({ key: 5 }), /key/],
  ['no payload', event({ payload: undefined }), /payload/],
  ['a function', event({ payload: { on: () => 1 } }), /`on`/],
  ['NaN', event({ payload: { cents: Number.NaN } }), /`cents` is NaN/],
  ['a bigint', event({ payload: 1n }), /BigInt/],
  ['a Map', event({ payload: { all: new Map() } }), /`all` is Map/],
  ['a promise', event({ payload: { rows: Promise.resolve([]) } }), /`rows` is Promise/],
  ['a pattern', event({ payload: { all: /a/ } }), /`all` is RegExp/],
  ['an error', event({ payload: { reason: new RangeError('x') } }), /`reason` is RangeError/],
  ['bytes without a view', event({ payload: { all: new ArrayBuffer(1) } }), /`all` is ArrayBuffer/],
  ['a date that is none', event({ payload: { at: new Date(Number.NaN) } }), /`at` is no valid Date/],
  ['undefined in a list', event({ payload: [undefined] }), /undefined/],
  ['a cycle', event({ payload: cycle }), /circular/i],
  ['a header that is no text', event({ headers: { a: 1 } }), /header `a`/],
  ['a header’s name with a space', event({ headers: { 'a b': '' } }), /names of headers/],
  ['a surplus property', event({ to: 'x' }), /no `to`/],
  ['too many bytes', event({ payload: 'x'.repeat(1000) }), /at most 1000 bytes/],
])('%s is refused', async (_what, given, message) => {
  const run = setting.idempotency.guard({ scope: 'alice', key: 'refused' }, ({ outbox }) => {
    outbox.add(given as EventToAdd);
  });
  await expect(run).rejects.toThrow(TypeError);
  await expect(run).rejects.toThrow(message);
  expect(await setting.rows()).toEqual([]);
});

test('what is published is what was given, whatever text it holds', async () => {
  const relay = setting.relay();
  const odd = `'; drop table x; -- $1 :name ? \\ "quoted" \u2028 😀 \u0000 \ud800`;
  const key = `k'\\"$1:?😀`;
  const headers = { note: `it's \\ "so" : ? 😀` };
  const bytes = Buffer.from([0, 255, 39, 92]);
  await setting.idempotency.guard({ scope: 'alice', key: 'odd' }, ({ outbox }) => {
    outbox.add({ topic: 'a.B-c_d:e/f', key, payload: { odd }, headers });
    outbox.add({ topic: 't', payload: bytes });
    outbox.add({ topic: 't', payload: bytes, headers: { 'Content-Type': 'image/png' } });
    outbox.add({ topic: 't', payload: { left: undefined, at: new Date(0), none: null } });
  });
  await relay.drain();
  const [first, second, third, fourth] = relay.published;
  expect(first).toMatchObject({ topic: 'a.B-c_d:e/f', key, headers });
  expect(JSON.parse(first!.payload.toString())).toEqual({ odd });
  expect(second).toMatchObject({ payload: bytes, headers: { 'content-type': 'application/octet-stream' } });
  expect(third!.headers).toEqual({ 'content-type': 'image/png' });
  expect(fourth!.payload.toString()).toBe('{"at":"1970-01-01T00:00:00.000Z","none":null}');
});

test('what its caller changes after it was added changes nothing', () => {
  const payload = Buffer.from('abc');
  const headers = { a: '1' };
  const read = readEvent({ topic: 't', payload, headers }, 1000);
  payload.fill(0);
  headers.a = '2';
  expect(read).toMatchObject({ payload: Buffer.from('abc'), headers: { a: '1' } });
});
