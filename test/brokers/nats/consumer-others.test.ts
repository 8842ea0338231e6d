/** What others have published, of a form that neither the relay nor the client would give it, is handled as well. */

import type { MsgHdrs } from '@nats-io/nats-core';
import type { ReceivedMessage } from 'graphql-idempotency/nats';
import { beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/signal.ts';
import { consume } from './consume.ts';
import { type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
beforeAll(async () => {
  nats = await startNatsCase();
});

test('headers that the client cannot read cost their message nothing else, and no other its turn', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  const unreadable = { encode: () => Buffer.from('NATS/1.0\r\nnot a token: 1\r\n\r\n') };
  nats.connection.publish(`${stream}.in`, 'odd', { headers: unreadable as unknown as MsgHdrs });
  await nats.send(stream, 'next');
  const told: unknown[] = [];
  const received: ReceivedMessage[] = [];
  await consume(nats, stream, (message) => void received.push(message), {
    onError: (error) => told.push(error),
  });
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
  expect(told).toEqual([]);
  expect(received).toMatchObject([
    { messageId: `${stream}:1`, topic: `${stream}.in`, payload: Buffer.from('odd'), headers: {} },
    { messageId: `${stream}:2`, payload: Buffer.from('next') },
  ]);
});
