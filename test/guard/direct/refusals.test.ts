/** Calls of `guard()` that are refused before anything runs: wrong in the code, or in what came from outside. */

import { ConfigurationError, IdempotencyError, errorTable } from 'graphql-idempotency';
import type { GuardCall } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codeOf, startCalls } from './calls.ts';
import type { Calls } from './calls.ts';

let calls: Calls;
let strict: Calls;
let runs = 0;

beforeAll(async () => {
  calls = await startCalls();
  strict = await startCalls({ beside: calls, keyFormat: 'uuid', maxPayloadBytes: 100 });
});
beforeEach(() => {
  runs = 0;
});

const base = { name: 'capture', scope: 'alice', key: 'refused' };
const run = (): void => void (runs += 1);
/** As JavaScript, or a value of type `any`, would call it. */
const guard = (call: object, instance = calls, ...works: unknown[]): Promise<unknown> =>
  instance.idempotency.guard(call as GuardCall, (works.length > 0 ? works[0] : run) as () => void);

async function refusal(answer: Promise<unknown>): Promise<Error> {
  const error: unknown = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  expect(runs).toBe(0);
  return error as Error;
}

describe('a mistake in the code is a TypeError that names the option', () => {
  test.each<readonly [string, object, RegExp]>([
    ['no mode', { mode: 'LEASED' }, /^capture: the option `mode` expects "TRANSACTION" or "LEASE"\.$/],
    ['a mode in lower case', { mode: 'lease' }, /`mode`/],
    ['null for a mode', { mode: null }, /`mode`/],
    ['no policy', { inFlight: 'wait' }, /^capture: the option `inFlight` expects "REJECT" or "WAIT"\.$/],
    ['no policy', { mode: 'LEASE', abandoned: 'RETRY' }, /`abandoned` expects "REFUSE" or "RERUN"/],
    ['an option of LEASE', { abandoned: 'RERUN' }, /`abandoned` is for mode: LEASE; .* remove it/],
    ['the default of an option of LEASE', { mode: 'TRANSACTION', abandoned: 'REFUSE' }, /`abandoned`/],
    ['no duration', { ttl: '1d' }, /^capture: The option `ttl` expects an ISO 8601 duration/],
    ['months', { ttl: 'P1M' }, /`ttl` expects weeks, days, hours/],
    ['NaN', { ttl: Number.NaN }, /`ttl`/],
    ['null for a ttl', { ttl: null }, /`ttl`/],
    ['more than a hundred years', { ttl: 'P40000D' }, /`ttl`/],
    ['forever', { ttl: Number.POSITIVE_INFINITY }, /`ttl`/],
    [
      'a ttl as long as a transaction',
      { ttl: 'PT30S' },
      /`ttl` must exceed `transactionTimeout` \(30000 ms\)/,
    ],
    ['a ttl as long as a lease', { mode: 'LEASE', ttl: 30_000 }, /`ttl` must exceed `lease` \(30000 ms\)/],
    ['no function', { authorizeReplay: true }, /`authorizeReplay` expects a function/],
    ['no signal', { signal: {} }, /`signal` expects an AbortSignal/],
    [
      'a misspelled option',
      { payloads: 5 },
      /^capture: guard\(\) has no option `payloads`\. Did you mean `payload`\?$/,
    ],
    [
      'an option that other things have',
      { ignore: [] },
      /no option `ignore`\. It has name, scope, key, payload/,
    ],
    ['a misspelled option without a value', { inflight: undefined }, /Did you mean `inFlight`\?$/],
    ['no name', { name: '' }, /^The option `name` of guard\(\) expects text of 1 to 255 characters\.$/],
    ['a number', { name: 7 }, /`name`/],
    ['a name that is too long', { name: 'x'.repeat(256) }, /`name`/],
    ['a name that Postgres does not take', { name: 'a\0b' }, /`name`/],
    ['half a character', { name: 'a\ud800' }, /`name`/],
    [
      'the name of a field',
      { name: 'Mutation.pay' },
      /^Mutation\.pay: the option `name` must not look like a field/,
    ],
  ])('%s: %j', async (_what, wrong, message) => {
    const error = await refusal(guard({ ...base, ...wrong }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(message);
  });

  test.each([[null], [undefined], ['capture']])('%s is no call', async (call) => {
    const error = await refusal(guard(call as unknown as object));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/expects an object/);
  });

  test.each([[undefined], [null], [Promise.resolve(5)]])('%s is no function to run', async (work) => {
    const error = await refusal(guard(base, calls, work));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^capture: guard\(\) expects a function/);
  });

  test('options that are undefined are as if they were left out', async () => {
    const nothing = Object.fromEntries(
      ['mode', 'ttl', 'inFlight', 'abandoned', 'authorizeReplay', 'signal', 'payload'].map((name) => [
        name,
        undefined,
      ]),
    );
    expect(await guard({ ...base, key: 'undefined', ...nothing })).toMatchObject({ outcome: 'executed' });
  });
});

describe('settings that contradict each other refuse leases, and nothing else', () => {
  test('a lease shorter than its claim may take', async () => {
    const short = await startCalls({ beside: calls, lease: 2000, claimTimeout: 2000 });
    const error = await refusal(guard({ ...base, mode: 'LEASE' }, short));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toMatch(/`lease` \(2000 ms\) must be longer than `claimTimeout`/);
    expect(await guard({ ...base, key: 'no-lease' }, short)).toMatchObject({
      outcome: 'executed',
    });
  });

  test('a record that does not outlive its lease, unless the call says how long it lives', async () => {
    const short = await startCalls({ beside: calls, ttl: 20_000, transactionTimeout: 10_000, lease: 20_000 });
    const error = await refusal(guard({ ...base, mode: 'LEASE' }, short));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toMatch(/`ttl` \(20000 ms\) must be longer than `lease`/);
    const longer = { ...base, key: 'own-ttl', mode: 'LEASE', ttl: 'PT1M' };
    expect(await guard(longer, short)).toMatchObject({ outcome: 'executed' });
  });
});

describe('what comes from outside is refused as for a field', () => {
  const uuid = '0b9f5a52-6c1b-4a8b-9d3e-3a2f6a4d7c10';
  test.each<readonly [string, object, keyof typeof errorTable, RegExp]>([
    [
      'no key',
      { key: undefined },
      'IDEMPOTENCY_KEY_MISSING',
      /^capture requires an idempotency key\. Pass it as `key`\.$/,
    ],
    ['null', { key: null }, 'IDEMPOTENCY_KEY_MISSING', /^capture/],
    ['an empty key', { key: '' }, 'IDEMPOTENCY_KEY_INVALID', /^capture: the idempotency key .* is empty/],
    ['a number as key', { key: 7 }, 'IDEMPOTENCY_KEY_INVALID', /must be a string/],
    ['several headers', { key: ['a', 'b'] }, 'IDEMPOTENCY_KEY_INVALID', /must be a string/],
    ['a long key', { key: 'x'.repeat(256) }, 'IDEMPOTENCY_KEY_INVALID', /too long/],
    ['a key with spaces', { key: 'a, b' }, 'IDEMPOTENCY_KEY_INVALID', /visible ASCII/],
    ['a key of another format', { key: 'short' }, 'IDEMPOTENCY_KEY_INVALID', /format/],
    [
      'no scope',
      { scope: undefined },
      'IDEMPOTENCY_SCOPE_MISSING',
      /^capture: nothing was executed, .* is undefined\. It must/,
    ],
    ['null as scope', { scope: null }, 'IDEMPOTENCY_SCOPE_MISSING', / is null\. /],
    ['an empty scope', { scope: '' }, 'IDEMPOTENCY_SCOPE_MISSING', / is empty\. /],
    ['a number as scope', { scope: 42 }, 'IDEMPOTENCY_SCOPE_MISSING', / is of type number\. /],
    ['a promise as scope', { scope: Promise.resolve('alice') }, 'IDEMPOTENCY_SCOPE_MISSING', /object/],
    [
      'a class',
      {
        payload: new (class Money {
          cents = 5;
        })(),
      },
      'IDEMPOTENCY_PAYLOAD_UNSUPPORTED',
      /^capture: its argument "payload" holds an instance of a class/,
    ],
    [
      'a large payload',
      { payload: 'x'.repeat(101) },
      'IDEMPOTENCY_PAYLOAD_TOO_LARGE',
      /maxPayloadBytes \(100\)/,
    ],
  ])('%s', async (_what, wrong, code, message) => {
    const error = await refusal(guard({ ...base, key: uuid, ...wrong }, strict));
    expect(error).toBeInstanceOf(IdempotencyError);
    expect(error).toMatchObject({ code, extensions: { http: { status: errorTable[code].status } } });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain(uuid);
    expect(error.message).not.toContain('alice');
  });

  test('nothing is told of the first call when its key is used for something else', async () => {
    const first = { ...base, key: 'reused', payload: { cents: 5 } };
    await guard(first, calls, () => 'secret');
    for (const other of [
      { ...first, payload: { cents: 6 } },
      { ...first, payload: undefined },
      { ...first, name: 'refund' },
      { ...first, name: undefined },
    ]) {
      const error = await refusal(guard(other));
      expect(error).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED', extensions: { retryable: false } });
      expect(error.message).not.toContain('secret');
    }
    expect(await guard(first)).toEqual({ outcome: 'replayed', value: 'secret' });
  });

  test('the same key of somebody else, or in another namespace, is another key', async () => {
    const elsewhere = await startCalls({ beside: calls, namespace: 'elsewhere' });
    const call = { ...base, key: 'whose' };
    expect(await guard(call, calls, () => 1)).toEqual({ outcome: 'executed', value: 1 });
    expect(await guard({ ...call, scope: 'bob' }, calls, () => 2)).toEqual({ outcome: 'executed', value: 2 });
    expect(await guard(call, elsewhere, () => 3)).toEqual({ outcome: 'executed', value: 3 });
  });
});

test('a mode that changes in a deploy changes nothing for the keys that are recorded', async () => {
  const call = { ...base, key: 'redeployed' };
  await guard(call, calls, () => 1);
  expect(await guard({ ...call, mode: 'LEASE' })).toEqual({ outcome: 'replayed', value: 1 });
});

test.each([
  [undefined, 86_400],
  ['PT31S', 31],
  ['P2D', 172_800],
  [45_000, 45],
])('`ttl` %s: the answer replays for %i s, in both modes', async (ttl, seconds) => {
  for (const mode of ['TRANSACTION', 'LEASE']) {
    const name = `${mode} ${ttl}`;
    await guard({ ...base, name, mode, ttl, key: `ttl-${mode}-${ttl}` });
    const [record] = await calls.sql<{ seconds: number }>(
      `select extract(epoch from expires_at - completed_at)::integer as seconds
       from graphql_idempotency.record where coordinate = $1`,
      [name],
    );
    expect(record).toEqual({ seconds });
  }
});

test('a database that cannot be reached is STORE_UNAVAILABLE, and nothing ran', async () => {
  const away = await startCalls({ beside: calls, postgres: 'postgres://127.0.0.1:1/none' });
  expect(await codeOf(guard(base, away))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  expect(await codeOf(guard({ ...base, mode: 'LEASE' }, away))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  expect(runs).toBe(0);
});
