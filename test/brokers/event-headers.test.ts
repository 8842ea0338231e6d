/** What an event is travels in headers, whatever is in its texts, and is found again. */

import { expect, test } from 'vitest';
import { eventHeaders, readEventHeaders } from '../../src/brokers/event-headers.ts';
import { encode } from '../../src/record/codec.ts';

const event = {
  id: '0190a0a0-0000-8000-8000-000000000000',
  topic: 'payment.captured',
  key: undefined,
  payload: Buffer.from('1'),
  headers: { 'content-type': 'application/json', note: 'a: b, c' },
  createdAt: new Date(0),
  attempt: 1,
};

test.each([undefined, 'ann', 'a b\r\nc: d', '100 %', 'ключ 🧾', '%41'])(
  'the key %j comes back as it was, as text that fits a header',
  (key) => {
    const written = eventHeaders({ ...event, key });
    for (const value of Object.values(written)) expect(value).toMatch(/^[\u0020-\u007e]*$/);
    expect(readEventHeaders(written)).toEqual({
      messageId: event.id,
      topic: event.topic,
      key,
      headers: { ...event.headers, 'event-time': '1970-01-01T00:00:00.000Z' },
    });
  },
);

test('a key that is not percent-encoded, as others write it, is taken as it is', () => {
  expect(readEventHeaders({ 'event-key': '100 %' }).key).toBe('100 %');
});

test('an empty id, topic or key is none: nothing could be told from another by it', () => {
  const empty = { 'event-id': '', 'event-topic': '', 'event-key': '' };
  expect(readEventHeaders(empty)).toEqual({
    messageId: undefined,
    topic: undefined,
    key: undefined,
    headers: {},
  });
});

test('a header by which a message could not be kept is left out: it would be refused, and come again for ever', () => {
  const { headers } = readEventHeaders(
    Object.fromEntries([...Object.entries(event.headers), ['__proto__', '1']]),
  );
  expect(Object.keys(headers)).toEqual(Object.keys(event.headers));
  expect(() => encode(headers)).not.toThrow();
});
