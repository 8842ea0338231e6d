/** What became of a message, where the broker's answers come in an order that a real one cannot be made to choose. */

import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import type { RabbitMqConfirmChannel } from '../../../src/brokers/rabbitmq/amqplib.ts';
import { trackConfirms } from '../../../src/brokers/rabbitmq/confirms.ts';
import { event, said } from './rabbit-case.ts';

/** A channel whose answers the test gives. */
class Channel extends EventEmitter implements RabbitMqConfirmChannel {
  readonly confirms: ((error: unknown) => void)[] = [];

  publish(...[, , , , confirmed]: Parameters<RabbitMqConfirmChannel['publish']>): boolean {
    this.confirms.push(confirmed);
    return true;
  }
}

function start() {
  const channel = new Channel();
  const confirms = trackConfirms(channel, () => undefined);
  const send = (messageId: string) => {
    const { payload: content } = event('t');
    const properties = { persistent: true, mandatory: true, messageId, timestamp: 0, headers: {} };
    return confirms.send({ exchange: 'e', routingKey: 'k', content, properties });
  };
  const giveBack = (messageId: string): void => {
    const fields = { replyCode: 312, replyText: 'NO_ROUTE', exchange: 'e', routingKey: 'k' };
    channel.emit('return', { fields, properties: { messageId } });
  };
  return { channel, send, giveBack };
}

const RETURNED = 'RabbitMQ has no queue for the event: 312 NO_ROUTE, exchange "e", routing key "k".';

// Both returns come before the one confirm that stands for both: with one mark, the second would count as published.
test('an event that is on its way twice is returned twice', async () => {
  const { channel, send, giveBack } = start();
  const sent = [send('a'), send('b'), send('a')];
  giveBack('a');
  giveBack('a');
  for (const confirm of channel.confirms) confirm(null);
  const outcomes = await Promise.all(sent.map(({ outcome }) => outcome));
  expect(outcomes.map(said)).toEqual([RETURNED, true, RETURNED]);
});

// The return of the first try must not be taken for one of the second, which has found a queue.
test('what is returned late belongs to the try that was given up', async () => {
  const { channel, send, giveBack } = start();
  const first = send('a');
  first.giveUp(new Error('too late'));
  const second = send('a');
  giveBack('a');
  for (const confirm of channel.confirms) confirm(null);
  expect(said(await first.outcome)).toBe('too late');
  expect(said(await second.outcome)).toBe(true);
});

test('when the channel is closed, all that is not confirmed has failed, whoever forgets to say so', async () => {
  const { channel, send } = start();
  const sent = [send('a'), send('b'), send('c')];
  channel.confirms[1]!(null);
  channel.emit('close');
  const closed = 'The channel to RabbitMQ was closed, and the event was not confirmed.';
  const outcomes = await Promise.all(sent.map(({ outcome }) => outcome));
  expect(outcomes.map(said)).toEqual([closed, true, closed]);
});
