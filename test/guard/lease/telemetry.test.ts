/** What the library tells those who listen about leases, and that it tells them nothing of the call. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { FinalError, NotExecutedError } from 'graphql-idempotency';
import type { IdempotencyMessage } from 'graphql-idempotency';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { deferred, eventually, within } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Leases } from './leases.ts';

type LeaseMessage = Extract<IdempotencyMessage, { type: 'lease' }>;

let leases: Leases;
let quick: Leases;
/** With attempts that may not last long. */
let brief: Leases;
let heard: LeaseMessage[];
let keys = 0;
let key: string;
const listen = (message: unknown): void => {
  if ((message as IdempotencyMessage).type === 'lease') heard.push(message as LeaseMessage);
};
beforeAll(async () => {
  leases = await startLeases({
    recover: { 'Mutation.moved': () => ({ outcome: 'unknown' }) },
  });
  quick = await startLeases({ beside: leases, lease: 20_000, renewInterval: 100 });
  brief = await startLeases({
    beside: leases,
    lease: 1000,
    claimTimeout: 400,
    renewInterval: 100,
    attemptTimeout: 1010,
  });
});
beforeEach(() => {
  key = `secret-key-${(keys += 1)}`;
  heard = [];
  subscribe('graphql-idempotency', listen);
});
afterEach(() => {
  unsubscribe('graphql-idempotency', listen);
});

/** What was heard, without the renewals, of which nobody knows how many there are and which come in time. */
const events = (): string[] =>
  heard.filter(({ event }) => !event.startsWith('renew')).map(({ event, attempt }) => `${event} ${attempt}`);

function expectMessages(coordinate = 'Mutation.rerun'): void {
  for (const message of heard) {
    expect(message).toMatchObject({ coordinate, identity: leases.identity(key).toString('hex') });
    const { error, ...rest } = message;
    expect(Object.keys(rest).toSorted()).toEqual(['attempt', 'coordinate', 'event', 'identity', 'type']);
    expect(JSON.stringify(rest)).not.toMatch(/secret|alice|payload/);
    expect(error === undefined || error instanceof Error).toBe(true);
  }
}

const args = { payload: { secret: 'argument' } };

test.each<readonly [string, Leases['during'], readonly string[]]>([
  ['completes with a result', () => 'secret', ['claimed 1', 'completed 1']],
  ['completes with an error', () => raise(new FinalError('secret')), ['claimed 1', 'completed 1']],
  ['completes without its result', () => () => 1, ['claimed 1', 'completed 1']],
  ['is released', () => raise(new NotExecutedError('secret')), ['claimed 1', 'released 1']],
  ['is abandoned', () => raise(new Error('plain')), ['claimed 1', 'abandoned 1']],
  [
    'is not released',
    ({ step }) => step('a', () => 1).then(() => raise(new NotExecutedError('no'))),
    ['claimed 1', 'abandoned 1'],
  ],
])('an attempt that %s', async (_how, act, expected) => {
  leases.during = act;
  await leases.call('rerun', key, args);
  expect(events()).toEqual(expected);
  expectMessages();
});

test('the cause goes with what was abandoned', async () => {
  const cause = new Error('plain');
  leases.during = () => raise(cause);
  await leases.call('rerun', key, args);
  expect(heard.at(-1)?.error).toBe(cause);
});

test('a rerun is taken over; a replay is nothing of a lease', async () => {
  leases.during = () => raise(new Error('crash'));
  await leases.call('rerun', key, args);
  leases.during = () => 'done';
  await leases.call('rerun', key, args);
  await leases.call('rerun', key, args);
  expect(events()).toEqual(['claimed 1', 'abandoned 1', 'taken-over 2', 'completed 2']);
  expectMessages();
});

test('an offer to `recover`, and what became of it', async () => {
  leases.during = () => raise(new Error('crash'));
  await leases.call('moved', key, args);
  await leases.call('moved', key, args);
  const identity = leases.identity(key).toString('hex');
  await leases.idempotency.resolve(identity, { outcome: 'completed', result: 'secret' });
  expect(events()).toEqual(['claimed 1', 'abandoned 1', 'recovering 1', 'abandoned 1', 'completed 1']);
  expectMessages('Mutation.moved');
});

test('renewals, and the loss that one of them finds, once', async () => {
  const never = deferred();
  quick.during = () => never.promise;
  const answer = quick.call('rerun', key, args);
  await eventually(() => heard.filter(({ event }) => event === 'renewed').length >= 2);
  await quick.takeOver(key);
  await within(answer);
  expect(events()).toEqual(['claimed 1', 'lost 1']);
  expectMessages();
});

test('a loss that the completion finds, once', async () => {
  leases.during = async () => {
    await leases.takeOver(key);
    return 'mine';
  };
  await leases.call('rerun', key, args);
  expect(events()).toEqual(['claimed 1', 'lost 1']);
  expectMessages();
});

test('a loss that a step finds, once', async () => {
  leases.during = async ({ step }) => {
    await leases.takeOver(key);
    await step('a', () => 1);
  };
  await leases.call('rerun', key, args);
  expect(events()).toEqual(['claimed 1', 'lost 1']);
  expectMessages();
});

test('an attempt that lasts too long lapses', async () => {
  const never = deferred();
  brief.during = () => never.promise;
  await within(brief.call('rerun', key, args));
  expect(events()).toEqual(['claimed 1', 'lapsed 1', 'lost 1']);
  expectMessages();
});

test('a renewal that fails, and the lapse, without a loss: the fence decides when there is an answer', async () => {
  const goOn = deferred();
  const blocked = await startLeases({ beside: leases, lease: 3000, claimTimeout: 400, renewInterval: 200 });
  blocked.during = async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    goOn.resolve();
    return 'in the end';
  };
  const answer = blocked.call('rerun', key, args);
  await eventually(() => events().length === 1);
  // No renewal gets through while the row is locked.
  const client = await lockRow();
  await within(goOn.promise);
  await client.release();
  expect((await within(answer)).value).toBe('in the end');
  expect(events()).toEqual(['claimed 1', 'lapsed 1', 'completed 1']);
  const failed = heard.findIndex(({ event }) => event === 'renewal-failed');
  expect(failed).toBeGreaterThan(0);
  expect(failed).toBeLessThan(heard.findIndex(({ event }) => event === 'lapsed'));
  expectMessages();
});

async function lockRow(): Promise<{ release(): Promise<unknown> }> {
  const { Client } = (await import('pg')).default;
  const client = new Client({ connectionString: leases.url });
  await client.connect();
  await client.query('begin');
  await client.query('select from graphql_idempotency.record where identity = $1 for update', [
    leases.identity(key),
  ]);
  return { release: () => client.end() };
}
