/** Events that are published to JetStream are stored once, and each one's outcome is its own. */

import { DiscardPolicy } from '@nats-io/jetstream';
import type { OutboxEvent, PublishOutcome } from 'graphql-idempotency';
import { jetStreamPublisher } from 'graphql-idempotency/nats';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventFor, type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
beforeAll(async () => {
  nats = await startNatsCase();
});

const publish = async (...events: readonly OutboxEvent[]): Promise<readonly PublishOutcome[]> =>
  jetStreamPublisher({ js: nats.js }).publish(events);

test('an event is stored with its bytes, under its subject, with its particulars as headers', async () => {
  const stream = await nats.stream();
  const payload = Buffer.from([0, 255, 10, 13, 128]);
  const event = eventFor(`${stream}.orders:paid/eu`, {
    payload,
    key: 'Ärger: 1\n',
    headers: { 'content-type': 'application/octet-stream', note: 'Zoë €' },
    createdAt: new Date('2026-01-02T03:04:05.678Z'),
  });
  expect(await publish(event)).toEqual([undefined]);
  const stored = await nats.jsm.streams.getMessage(stream, { seq: 1 });
  expect(Buffer.from(stored!.data)).toEqual(payload);
  expect(stored!.subject).toBe(event.topic);
  expect(Object.fromEntries(stored!.header)).toEqual({
    'Nats-Msg-Id': [event.id],
    'content-type': ['application/octet-stream'],
    note: ['Zoë €'],
    'event-id': [event.id],
    'event-topic': [event.topic],
    'event-key': [encodeURIComponent('Ärger: 1\n')],
    'event-time': ['2026-01-02T03:04:05.678Z'],
  });
});

test('an event that is published again is stored once, and counts as published', async () => {
  const stream = await nats.stream();
  const event = eventFor(`${stream}.in`);
  expect(await publish(event)).toEqual([undefined]);
  expect(await publish(event, eventFor(`${stream}.in`), event)).toEqual([undefined, undefined, undefined]);
  expect(await nats.stored(stream)).toHaveLength(2);
});

test('no header of an event switches that off: neither by its name nor by its text', async () => {
  const stream = await nats.stream();
  const named = eventFor(`${stream}.in`, { headers: { 'nats-msg-id': 'other', 'Nats-Msg-Id': 'another' } });
  const quoting = eventFor(`${stream}.in`, { headers: { about: 'Nats-Msg-Id: 1' } });
  for (let time = 0; time < 2; time += 1)
    expect(await publish(named, quoting)).toEqual([undefined, undefined]);
  expect(await nats.stored(stream)).toHaveLength(2);
});

test('a header of an event cannot steer the server', async () => {
  const stream = await nats.stream({ allow_rollup_hdrs: true });
  await publish(eventFor(`${stream}.in`));
  const steering = {
    'Nats-Expected-Stream': 'other',
    'nats-expected-last-sequence': '99',
    'NATS-Rollup': 'all',
    'Nats-Rollup': 'all',
    kept: 'yes',
  };
  expect(await publish(eventFor(`${stream}.in`, { headers: steering }))).toEqual([undefined]);
  const stored = await nats.stored(stream);
  expect(stored).toHaveLength(2);
  const names = [...stored[1]!.headers.keys()];
  expect(names.filter((name) => /^nats-/i.test(name))).toEqual(['Nats-Msg-Id']);
  expect(names).toContain('kept');
});

test('an event without a stream fails, says what to do, and fails no other', async () => {
  const stream = await nats.stream();
  const outcomes = await publish(eventFor(`${stream}.a`), eventFor('nowhere.b'), eventFor(`${stream}.c`));
  expect(outcomes.map((outcome) => outcome?.message)).toEqual([
    undefined,
    expect.stringMatching(/No stream takes the NATS subject "nowhere\.b"\. Create a stream/),
    undefined,
  ]);
  expect((await nats.stored(stream)).map(({ subject }) => subject).toSorted()).toEqual([
    `${stream}.a`,
    `${stream}.c`,
  ]);
});

test.each([
  ['in..between', /no part between its dots may be empty/],
  ['.first', /empty/],
  ['last.', /empty/],
  ['', /empty/],
  ['any.*', /`\*`/],
  ['all.>', /`>`/],
  ['two words', /spaces/],
  ['line\r\nPUB x 0', /spaces/],
  ['nul\u0000', /spaces/],
  [undefined, /it must be text/],
])('what is no subject, as %j, fails that event alone', async (subject, message) => {
  const stream = await nats.stream();
  const publisher = jetStreamPublisher({
    js: nats.js,
    subject: ({ topic }) => (topic === 'wrong' ? (subject as string) : `${stream}.${topic}`),
  });
  const [right, wrong, rightToo] = await publisher.publish(
    ['a', 'wrong', 'b'].map((topic) => eventFor(topic)),
  );
  expect([right, rightToo]).toEqual([undefined, undefined]);
  expect(wrong?.message).toMatch(message);
  expect(wrong?.message).toMatch(/^Nothing can be published to the NATS subject /);
  expect(await nats.stored(stream)).toHaveLength(2);
});

test('a subject that is too long fails that event alone, and does not cost the connection', async () => {
  const stream = await nats.stream();
  const publisher = jetStreamPublisher({
    js: nats.js,
    subject: ({ topic }) => `${stream}.${topic === 'long' ? 'ü'.repeat(2000) : topic}`,
  });
  const outcomes = await publisher.publish(['a', 'long', 'b'].map((topic) => eventFor(topic)));
  expect(outcomes.map((outcome) => outcome?.message)).toEqual([
    undefined,
    expect.stringMatching(/longer than 3000 bytes/),
    undefined,
  ]);
});

test('an option `subject` that throws fails that event alone', async () => {
  const stream = await nats.stream();
  const publisher = jetStreamPublisher({
    js: nats.js,
    subject: ({ topic }) => {
      if (topic === 'wrong') throw new Error('cannot tell');
      return `${stream}.${topic}`;
    },
  });
  const outcomes = await publisher.publish([eventFor('wrong'), eventFor('right')]);
  expect(outcomes.map((outcome) => outcome?.message)).toEqual(['cannot tell', undefined]);
});

test('what a stream refuses fails, and a payload that the server does not take', async () => {
  const stream = await nats.stream({ max_msgs: 1, discard: DiscardPolicy.New });
  await nats.send(stream, 'full');
  const outcomes = await publish(
    eventFor(`${stream}.in`),
    eventFor(`${stream}.in`, { payload: Buffer.alloc(1_100_000) }),
  );
  expect(outcomes.map((outcome) => outcome?.message)).toEqual([
    expect.stringMatching(/maximum messages exceeded/),
    expect.stringMatching(/max_payload/),
  ]);
});

test('an answer by somebody who is no stream does not count', async () => {
  const subscription = nats.connection.subscribe('plain.service', {
    callback: (_, message) => void message.respond('{}'),
  });
  onTestFinished(() => subscription.unsubscribe());
  const [outcome] = await publish(eventFor('plain.service'));
  expect(outcome?.message).toMatch(/is no stream/);
});

test('that the first copy of an event is not stored yet does not count: the cluster may lose it', async () => {
  // As older clusters answer where the first copy waits for a majority.
  const subscription = nats.connection.subscribe('clustered.in', {
    callback: (_, message) => void message.respond('{"stream":"events","seq":0,"duplicate":true}'),
  });
  onTestFinished(() => subscription.unsubscribe());
  const [outcome] = await publish(eventFor('clustered.in'));
  expect(outcome?.message).toMatch(/"events" has not stored/);
});

test('silence is a failure, by a stream that acknowledges nothing or by those who only listen', async () => {
  const stream = await nats.stream({ no_ack: true });
  const subscription = nats.connection.subscribe('plain.listener', { callback: () => {} });
  onTestFinished(() => subscription.unsubscribe());
  const publisher = jetStreamPublisher({ js: nats.js, timeoutMs: 100 });
  const outcomes = await publisher.publish([eventFor(`${stream}.in`), eventFor('plain.listener')]);
  for (const outcome of outcomes) expect(outcome?.message).toMatch(/within 100 ms.*`no_ack`/);
});

test('on a closed connection each event fails', async () => {
  const connection = await nats.connect();
  const { jetstream } = await import('@nats-io/jetstream');
  const publisher = jetStreamPublisher({ js: jetstream(connection) });
  await connection.close();
  const outcomes = await publisher.publish([eventFor('a'), eventFor('b')]);
  expect(outcomes.map((outcome) => outcome?.message)).toEqual(['closed connection', 'closed connection']);
});

test('wrong options are refused', () => {
  const { js } = nats;
  const make = (options: object): unknown => jetStreamPublisher(options as { js: typeof js });
  expect(() => make({})).toThrow(/`js` of jetStreamPublisher\(\) expects a JetStream client/);
  expect(() => make({ js, subject: 'topic' })).toThrow(/`subject`.*expects a function/);
  expect(() => make({ js, timeoutMs: 0 })).toThrow(/`timeoutMs`.*expects a whole number/);
  expect(() => make({ js, timeout: 5 })).toThrow(/no option `timeout`\. Did you mean `timeoutMs`/);
});
