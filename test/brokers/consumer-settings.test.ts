import { expect, onTestFinished, test, vi } from 'vitest';
import { readConsumerOptions, readNumberOption } from '../../src/brokers/consumer-settings.ts';
import type { ConsumerSettings } from '../../src/brokers/consumer-settings.ts';
import type { ConsumerOptions, ReceivedMessage } from '../../src/brokers/received-message.ts';
import { eventually } from '../support/signal.ts';

const read = (options: object): ConsumerSettings =>
  readConsumerOptions(options as ConsumerOptions, { name: 'consumeIt', own: ['queue'] });

const message: ReceivedMessage = {
  messageId: 'm',
  topic: 't',
  key: undefined,
  payload: Buffer.from('null'),
  headers: {},
  deliveries: 1,
};

test('options that are not given have their defaults', () => {
  expect(read({ queue: 'q' })).toMatchObject({
    concurrency: 10,
    backoffMs: 1000,
    maxBackoffMs: 60_000,
    stopTimeoutMs: 10_000,
  });
});

test('an option that does not exist is refused with the name that was meant', () => {
  expect(() => read({ concurency: 3 })).toThrow(
    new TypeError('consumeIt() has no option `concurency`. Did you mean `concurrency`?'),
  );
  expect(() => read({ queu: 'q' })).toThrow('Did you mean `queue`?');
  expect(() => read({ somethingElse: 1 })).toThrow(
    new TypeError('consumeIt() has no option `somethingElse`.'),
  );
  expect(() => read(undefined as never)).toThrow(new TypeError('consumeIt() expects an object.'));
});

test.each([
  ['concurrency', [0, 1.5, '3', Number.NaN, 10_001]],
  ['backoffMs', [-1, null, Infinity]],
  ['maxBackoffMs', [-1, true]],
  ['stopTimeoutMs', [-1, '1s']],
])('%s takes whole numbers of its range only', (name, values) => {
  for (const value of values) {
    expect(() => read({ [name]: value })).toThrow(`The option \`${name}\` of consumeIt() expects a whole`);
  }
  expect(read({ [name]: 7 })).toMatchObject({ [name]: 7 });
});

test('onError takes a function only', () => {
  expect(() => read({ onError: 'log' })).toThrow('The option `onError` of consumeIt() expects a function.');
});

test('a number of one consumer alone is read in the same way', () => {
  const range = { default: 5, min: 1, max: 9 };
  expect(readNumberOption('consumeIt', 'ackWaitMs', undefined, range)).toBe(5);
  expect(readNumberOption('consumeIt', 'ackWaitMs', 9, range)).toBe(9);
  expect(() => readNumberOption('consumeIt', 'ackWaitMs', 10, range)).toThrow(
    new TypeError('The option `ackWaitMs` of consumeIt() expects a whole number from 1 to 9.'),
  );
});

test('the wait is at most backoffMs after the first delivery, and doubles up to maxBackoffMs', () => {
  const random = vi.spyOn(Math, 'random').mockReturnValue(1);
  onTestFinished(() => random.mockRestore());
  const { retryDelayMs } = read({ backoffMs: 100, maxBackoffMs: 350 });
  expect([0, 1, 2, 3, 400].map((deliveries) => retryDelayMs(deliveries))).toEqual([100, 100, 200, 350, 350]);
  random.mockReturnValue(0);
  expect(retryDelayMs(3)).toBe(0);
});

test('without onError the first of several failures is a warning, of messages and of the broker each', () => {
  const warn = warnings();
  const { failures } = read({});
  failures.failed(new Error('no such table'), message);
  failures.failed(new Error('no such table'), message);
  failures.failed(new Error('ECONNREFUSED'));
  failures.failed(new Error('ECONNREFUSED'));
  expect(warn()).toEqual([
    ['consumeIt() could not handle a message', 'Error: no such table'],
    ['consumeIt() cannot reach its broker', 'Error: ECONNREFUSED'],
  ]);
  failures.handled();
  failures.failed(new Error('once more'), message);
  failures.failed(new Error('and ever'));
  failures.reached();
  failures.failed(new Error('gone again'));
  expect(warn().slice(2)).toEqual([
    ['consumeIt() could not handle a message', 'Error: once more'],
    ['consumeIt() cannot reach its broker', 'Error: gone again'],
  ]);
});

test('what has no text is told as well', () => {
  const warn = warnings();
  read({}).failures.failed(Object.create(null), message);
  expect(warn()).toEqual([['consumeIt() could not handle a message', 'what has no text']]);
});

test('onError hears of every failure, and does no harm when it throws', () => {
  const warn = warnings();
  const heard: unknown[] = [];
  const { failures } = read({
    onError: (error: unknown, about: ReceivedMessage | undefined) => {
      heard.push([error, about]);
      throw new Error('the listener');
    },
  });
  failures.failed('one', message);
  failures.failed('two');
  expect(heard).toEqual([
    ['one', message],
    ['two', undefined],
  ]);
  expect(warn()[0]).toEqual(['The option `onError` of consumeIt() has thrown.', 'Error: the listener']);
});

test('an async onError that rejects ends no process', async () => {
  const warn = warnings();
  const { failures } = read({ onError: async () => Promise.reject(new Error('the listener')) });
  failures.failed('one', message);
  await eventually(() => warn().length === 1);
  expect(warn()[0]).toEqual(['The option `onError` of consumeIt() has thrown.', 'Error: the listener']);
});

/** The warnings of the process from now on: how they begin, and the first line of their details. */
function warnings(): () => string[][] {
  const spy = vi.spyOn(process, 'emitWarning').mockReturnValue(undefined);
  onTestFinished(() => spy.mockRestore());
  return () =>
    (spy.mock.calls as unknown as [string, { detail: string }][]).map(([text, { detail }]) => [
      text.split(/,|;/)[0]!,
      detail.split('\n')[0]!,
    ]);
}
