/** What is kept of a result in lease mode, and that what is done is never done again for want of it. */

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLeases, storable } from './leases.ts';
import type { Leases } from './leases.ts';

let leases: Leases;
let keys = 0;
let key: string;
beforeAll(async () => {
  leases = await startLeases({ maxResultBytes: 2000 });
});
beforeEach(() => {
  key = `results-${(keys += 1)}`;
  leases.counts.runs = 0;
  leases.counts.replays = 0;
  leases.log.length = 0;
});

test.each(storable)('H13: %s is a result, and is replayed as it was', async (_name, value) => {
  leases.during = () => value;
  const first = await leases.call('refuse', key);
  leases.during = () => 'another';
  const again = await leases.call('refuse', key);
  // What graphql makes of nothing is null; the record knows better.
  const seen = value === undefined ? null : value;
  expect([first, again]).toStrictEqual([
    { value: seen, error: undefined, code: undefined },
    { value: seen, error: undefined, code: undefined },
  ]);
  expect(leases.counts).toEqual({ runs: 1, replays: 1 });
  expect(await leases.row(key)).toMatchObject({ state: 'completed', outcome: 'result', lease_until: null });
});

class Money {
  readonly cents = 5;
}

describe('H14: a result that cannot be stored', () => {
  const loop = new Proxy(
    {},
    {
      ownKeys: () => {
        throw new Error('secret of the resolver');
      },
    },
  );
  test.each<readonly [string, unknown, RegExp]>([
    [
      'because it is an instance of a class',
      new Money(),
      /Mutation\.rerun: result cannot be stored: .*Money/,
    ],
    ['because a class hides in it', { a: [{ b: new Money() }] }, /result\.a\[0\]\.b cannot be stored/],
    ['because it is a function', { f: () => 1 }, /result\.f cannot be stored: it is a function/],
    ['because it is a symbol', Symbol('s'), /it is a symbol/],
    [
      'because an error is in its list',
      [new Error('secret of the resolver')],
      /result\[0\] cannot be stored/,
    ],
    ['because reading it fails', loop, /Mutation\.rerun: result cannot be stored/],
    ['because it is too large', 'x'.repeat(3000), /takes \d+ bytes, more than maxResultBytes \(2000\)/],
  ])('%s, reaches the first caller; retries are told that it is done', async (_why, value, logged) => {
    leases.during = () => value;
    const first = await leases.call('rerun', key);
    // What is no GraphQL value may still fail behind the guard; the guard itself has let it through.
    expect(first.code ?? '').not.toMatch(/IDEMPOTENCY/);
    if (typeof value === 'string') expect(first.value).toBe(value);
    const { state, outcome, body } = (await leases.row(key))!;
    expect({ state, outcome, body }).toEqual({ state: 'completed', outcome: 'omitted', body: null });
    expect(leases.log).toEqual([
      { level: 'error', message: expect.stringMatching(logged), facts: undefined },
    ]);

    leases.during = () => 'executed again';
    const beside = await startLeases({ beside: leases });
    for (const one of [leases, leases, beside]) {
      const again = await one.call('rerun', key);
      expect(again.code).toBe('IDEMPOTENCY_RESULT_OMITTED');
      expect(again.error?.extensions['retryable']).toBe(false);
      expect(again.error?.message).toMatch(/Mutation\.rerun: the mutation is done/);
      expect(JSON.stringify(again)).not.toMatch(/secret/);
    }
    expect([leases.counts.runs, beside.counts.runs]).toEqual([1, 0]);
  });

  test('answers other arguments with KEY_REUSED', async () => {
    leases.during = () => new Money();
    await leases.call('rerun', key);
    expect((await leases.call('rerun', key, { n: 2 })).code).toBe('IDEMPOTENCY_KEY_REUSED');
  });
});

test('a result of just maxResultBytes is stored', async () => {
  // Encoded: a list with the text in it.
  leases.during = () => 'x'.repeat(2000 - '[""]'.length);
  const first = await leases.call('refuse', key);
  leases.during = () => 'another';
  expect((await leases.call('refuse', key)).value).toBe(first.value);
  expect((await leases.row(key))!.body).toHaveLength(2000);
});

test('nobody changes the stored result through the first one', async () => {
  const given = { list: [1] };
  leases.during = () => given;
  const first = (await leases.call('refuse', key)).value as typeof given;
  first.list.push(2);
  const again = (await leases.call('refuse', key)).value as typeof given;
  expect(again).toEqual({ list: [1] });
  again.list.push(3);
  expect((await leases.call('refuse', key)).value).toEqual({ list: [1] });
});
