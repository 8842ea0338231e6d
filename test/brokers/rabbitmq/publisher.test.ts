/** What a publisher of RabbitMQ says of each event is true. */

import amqp from 'amqplib';
import type { ConfirmChannel } from 'amqplib';
import { rabbitMqPublisher } from 'graphql-idempotency/rabbitmq';
import type { RabbitMqPublisherOptions } from 'graphql-idempotency/rabbitmq';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { deferred, eventually } from '../../support/signal.ts';
import { cut, event, numbered, outcomesOf, startRabbitCase } from './rabbit-case.ts';
import type { RabbitCase } from './rabbit-case.ts';

let rabbit: RabbitCase;

beforeAll(async () => {
  rabbit = await startRabbitCase();
});

test('an event arrives persistent, with all that belongs to it', async () => {
  const queue = await rabbit.queue();
  const sent = event(queue, { key: 'Zürich/1', headers: { 'content-type': 'text/plain', trace: 'ä' } });
  expect(await outcomesOf(rabbit.publisher(), [sent])).toEqual([true]);
  expect(await rabbit.take(queue)).toMatchObject([
    {
      content: sent.payload,
      properties: {
        deliveryMode: 2,
        messageId: sent.id,
        contentType: 'text/plain',
        timestamp: Math.floor(sent.createdAt.getTime() / 1000),
        headers: {
          trace: 'ä',
          'event-id': sent.id,
          'event-topic': queue,
          'event-key': 'Z%C3%BCrich%2F1',
          'event-time': '2026-01-02T03:04:05.678Z',
        },
      },
    },
  ]);
});

test('an event goes to the exchange with the routing key of the caller’s choice', async () => {
  const queue = await rabbit.queue();
  await rabbit.admin(async (channel) => {
    await channel.assertExchange('shop', 'topic', { durable: true });
    await channel.bindQueue(queue, 'shop', 'eu.payment.*');
  });
  const publisher = rabbit.publisher({ exchange: 'shop', routingKey: ({ topic }) => `eu.${topic}` });
  expect(await outcomesOf(publisher, [event('payment.captured')])).toEqual([true]);
  expect(await rabbit.take(queue)).toMatchObject([
    { fields: { exchange: 'shop', routingKey: 'eu.payment.captured' } },
  ]);
});

test('an event for which there is no queue has failed, and no other', async () => {
  const queue = await rabbit.queue();
  const events = ['', '-missing', '', '-missing', ''].map((suffix) => event(`${queue}${suffix}`));
  const outcomes = await outcomesOf(rabbit.publisher(), events);
  const failure = `RabbitMQ has no queue for the event: 312 NO_ROUTE, exchange "", routing key "${queue}-missing".`;
  expect(outcomes).toEqual([true, failure, true, failure, true]);
  expect(await rabbit.depth(queue)).toBe(3);
});

test('an event that a full queue refuses has failed', async () => {
  const queue = await rabbit.queue({ 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  const publisher = rabbit.publisher();
  expect(await outcomesOf(publisher, [event(queue)])).toEqual([true]);
  expect(await outcomesOf(publisher, [event(queue)])).toEqual([
    'RabbitMQ has refused the event. message nacked',
  ]);
});

test('an event that cannot be sent has failed, and no other', async () => {
  const queue = await rabbit.queue();
  const routingKey = ({ topic }: { topic: string }): string => {
    if (topic === 'thrown') throw new Error('no key');
    return topic === 'long' ? 'x'.repeat(300) : queue;
  };
  const events = ['a', 'long', 'thrown', 'b'].map((topic) => event(topic));
  const outcomes = await outcomesOf(rabbit.publisher({ routingKey }), events);
  expect(outcomes).toEqual([true, expect.stringContaining('could not be sent'), 'no key', true]);
});

test('a missing exchange is named, and the next events go out once it is there', async () => {
  const queue = await rabbit.queue();
  const publisher = rabbit.publisher({ exchange: 'later' });
  const failure = expect.stringMatching(/closed the channel.*404.*no exchange 'later'/) as string;
  expect(await outcomesOf(publisher, numbered(queue, 3))).toEqual([failure, failure, failure]);
  await rabbit.admin(async (channel) => {
    await channel.assertExchange('later', 'fanout');
    await channel.bindQueue(queue, 'later', '');
  });
  const connections = rabbit.connections.length;
  expect(await outcomesOf(publisher, numbered(queue, 3))).toEqual([true, true, true]);
  // A new channel does it.
  expect(rabbit.connections).toHaveLength(connections);
});

test('while the channel’s buffer is full, nothing is added to it', async () => {
  const queue = await rabbit.queue();
  const full = { now: false, times: 0, ignored: 0 };
  const connect: RabbitMqPublisherOptions['connect'] = async () => {
    const connection = await rabbit.connect();
    const create = connection.createConfirmChannel.bind(connection);
    connection.createConfirmChannel = async (): Promise<ConfirmChannel> => {
      const channel = await create({ highWaterMark: 10 });
      const publish = channel.publish.bind(channel);
      channel.on('drain', () => {
        full.now = false;
      });
      channel.publish = (...message) => {
        if (full.now) full.ignored += 1;
        full.now = !publish(...message);
        if (full.now) full.times += 1;
        return !full.now;
      };
      return channel;
    };
    return connection;
  };
  const events = numbered(queue, 100);
  expect(await outcomesOf(rabbit.publisher({ connect }), events)).toEqual(events.map(() => true));
  expect((await rabbit.take(queue)).map(({ content }) => Number(content))).toEqual(events.map((_, at) => at));
  expect(full.times).toBeGreaterThan(1);
  expect(full.ignored).toBe(0);
});

test('what is not confirmed when the connection is lost has failed, and the next events get another', async () => {
  const queue = await rabbit.queue();
  const publisher = rabbit.publisher();
  await publisher.publish([event(queue)]);
  const lost = rabbit.connections.at(-1);
  rabbit.freeze();
  const publishing = outcomesOf(publisher, numbered(queue, 3));
  // What is behind a full turn of the loop has been written.
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  cut(lost);
  const failure = 'The channel to RabbitMQ was closed, and the event was not confirmed. cut';
  expect(await publishing).toEqual([failure, failure, failure]);
  rabbit.server.thaw();
  expect(await outcomesOf(publisher, numbered(queue, 3))).toEqual([true, true, true]);
  expect(rabbit.connections.at(-1)).not.toBe(lost);
});

test('a broker that says nothing is given up, and reached again over another connection', async () => {
  const queue = await rabbit.queue();
  const publisher = rabbit.publisher({ confirmTimeoutMs: 2000 });
  expect(await outcomesOf(publisher, [event(queue)])).toEqual([true]);
  const silent = rabbit.connections.at(-1);
  rabbit.freeze();
  const failure = 'RabbitMQ has not confirmed the event within 2000 ms.';
  expect(await outcomesOf(publisher, numbered(queue, 2))).toEqual([failure, failure]);
  await expect(publisher.publish([event(queue)])).rejects.toThrow('RabbitMQ did not answer within 2000 ms.');
  rabbit.server.thaw();
  await eventually(async () => (await outcomesOf(publisher, [event(queue)]))[0] === true);
  expect(rabbit.connections.at(-1)).not.toBe(silent);
});

test('while the broker blocks who publishes, events fail, and afterwards they go out', async () => {
  const queue = await rabbit.queue();
  const publisher = rabbit.publisher({ confirmTimeoutMs: 3000 });
  expect(await outcomesOf(publisher, [event(queue)])).toEqual([true]);
  const connection = rabbit.connections.at(-1);
  const blocked = new Promise((resolve) => connection!.once('blocked', resolve));
  const unblocked = new Promise((resolve) => connection!.once('unblocked', resolve));
  onTestFinished(() => rabbit.server.alarm(false));
  await rabbit.server.alarm(true);
  // The connection hears of it some time after the broker has: what comes in between is confirmed.
  let confirmed = 1;
  const failure = await eventually(async () => {
    const [outcome] = await outcomesOf(publisher, [event(queue)]);
    if (outcome === true) confirmed += 1;
    return outcome !== true && outcome;
  });
  expect(failure).toBe('RabbitMQ has not confirmed the event within 3000 ms.');
  await blocked;
  expect(await outcomesOf(publisher, numbered(queue, 2))).toEqual([
    'RabbitMQ takes no events at the moment, its connection is blocked: low on memory.',
    'RabbitMQ takes no events at the moment, its connection is blocked: low on memory.',
  ]);
  await rabbit.server.alarm(false);
  await unblocked;
  expect(await outcomesOf(rabbit.publisher(), [event(queue)])).toEqual([true]);
  expect(await outcomesOf(publisher, [event(queue)])).toEqual([true]);
  // Those that failed at once never came; the one before them did, late.
  expect(await rabbit.depth(queue)).toBe(confirmed + 3);
});

test('a connection that comes too late is closed, and so is a publisher’s own when it closes', async () => {
  const queue = await rabbit.queue();
  const gate = deferred();
  const opened = deferred<Awaited<ReturnType<typeof rabbit.connect>>>();
  const publisher = rabbit.publisher({
    confirmTimeoutMs: 100,
    connect: async () => {
      await gate.promise;
      const connection = await rabbit.connect();
      opened.resolve(connection);
      return connection;
    },
  });
  await expect(publisher.publish([event(queue)])).rejects.toThrow('did not answer within 100 ms');
  const late = opened.promise.then((one) => new Promise((resolve) => one.once('close', resolve)));
  gate.resolve();
  await late;

  const closing = rabbit.publisher();
  await closing.publish([event(queue)]);
  const closed = new Promise((resolve) => rabbit.connections.at(-1)!.once('close', resolve));
  await Promise.all([closing.close(), closing.close(), closed]);
  await closing.close();
  await expect(closing.publish([event(queue)])).rejects.toThrow('The connection to RabbitMQ was closed.');
});

test('a broker that cannot be reached fails all events, and is asked again for the next', async () => {
  const queue = await rabbit.queue();
  let tries = 0;
  const publisher = rabbit.publisher({
    connect: async () => {
      tries += 1;
      if (tries === 1) throw new Error('refused');
      return rabbit.connect();
    },
  });
  await expect(publisher.publish(numbered(queue, 2))).rejects.toThrow('refused');
  expect(await outcomesOf(publisher, numbered(queue, 2))).toEqual([true, true]);
});

test('an option that is wrong is named', () => {
  const connect = () => amqp.connect(rabbit.server.url);
  const wrong: [object, RegExp][] = [
    [{ exchange: '' }, /`connect` of rabbitMqPublisher\(\) expects a function/],
    [{ connect }, /`exchange` of rabbitMqPublisher\(\) expects the name/],
    [{ connect, exchange: '', routingKey: 'k' }, /`routingKey` .* expects a function/],
    [{ connect, exchange: '', confirmTimeoutMs: 0 }, /`confirmTimeoutMs` .* whole number/],
    [{ connect, exchange: '', exchnge: '' }, /no option `exchnge`. Did you mean `exchange`/],
  ];
  for (const [options, message] of wrong) {
    expect(() => rabbitMqPublisher(options as RabbitMqPublisherOptions)).toThrow(message);
  }
});
