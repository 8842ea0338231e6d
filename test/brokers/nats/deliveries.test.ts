/** What the server has sent last of a message is what it is answered to. */

import { jetstream } from '@nats-io/jetstream';
import type { JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { beforeAll, expect, test } from 'vitest';
import { readConsumerOptions } from '../../../src/brokers/consumer-settings.ts';
import { Deliveries } from '../../../src/brokers/nats/deliveries.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
beforeAll(async () => {
  nats = await startNatsCase();
});

async function next(connection: NatsConnection, stream: string): Promise<JsMsg> {
  const worker = await jetstream(connection, { timeout: 1000 }).consumers.get(stream, 'worker');
  return (await worker.next({ expires: 5000 }))!;
}

test('a message that is sent again while its acknowledgement gets lost is acknowledged all the same', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, 'm');
  const told: unknown[] = [];
  const settings = readConsumerOptions(
    { onError: (error) => void told.push(error) },
    { name: 'consumeIt', own: [] },
  );
  const handled = deferred();
  const failures = { ...settings.failures, handled: handled.resolve };
  const release = deferred();
  const deliveries = new Deliveries({ ...settings, failures }, () => release.promise);
  const lost = await nats.connect();
  const first = await next(lost, stream);
  deliveries.take(first);
  // As by another: the message itself can be answered once only.
  nats.connection.publish((first as JsMsg & { readonly reply: string }).reply, '-NAK');
  const second = await next(nats.connection, stream);
  await lost.close();
  release.resolve();
  await handled.promise;
  deliveries.take(second);
  // Long before the server would send it once more.
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
  await deliveries.idle();
  expect(told).toEqual([]);
});
