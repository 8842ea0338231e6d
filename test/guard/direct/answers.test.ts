/** What a call of `guard()` is answered: its own outcome, or the first one's. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { GraphQLError } from 'graphql';
import { FinalError, IdempotencyError } from 'graphql-idempotency';
import type { CurrentAttempt, GuardAnswer, GuardCall, IdempotencyMessage } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred, within } from '../../support/signal.ts';
import { codeOf, startCalls } from './calls.ts';
import type { Calls } from './calls.ts';

let calls: Calls;
let call: GuardCall;
let keys = 0;

beforeAll(async () => {
  calls = await startCalls({ storeError: (error) => error instanceof RangeError });
});
beforeEach(async () => {
  call = { name: 'capture', scope: 'alice', key: `key-${(keys += 1)}`, payload: { cents: 5 } };
  await calls.sql('truncate effects');
});

const guard = <T>(more: Partial<GuardCall>, run: (attempt: CurrentAttempt) => T | Promise<T>) =>
  calls.idempotency.guard({ ...call, ...more }, run);
const write = (name: string) => (attempt: CurrentAttempt) => calls.write(attempt.tx, name);

test('without a server, a schema or open(), the first call opens the stores and executes', async () => {
  const fresh = await startCalls({ beside: calls });
  expect(await fresh.idempotency.guard(call, write('a'))).toEqual({ outcome: 'executed', value: 'a' });
  expect(await calls.effects()).toEqual(['a']);
});

test('a retry gets the first value and runs nothing; another process knows it, too', async () => {
  const beside = await startCalls({ beside: calls });
  expect(await guard({}, write('a'))).toEqual({ outcome: 'executed', value: 'a' });
  expect(await guard({}, write('b'))).toEqual({ outcome: 'replayed', value: 'a' });
  expect(await beside.idempotency.guard(call, write('c'))).toEqual({ outcome: 'replayed', value: 'a' });
  expect(await calls.effects()).toEqual(['a']);
});

test.each([
  ['nothing', undefined],
  ['null', null],
  ['zero', 0],
  ['a Date in a Map', new Map([['at', new Date(0)]])],
  ['a bigint', 2n ** 70n],
])('%s is a value like any other, and is replayed as it was', async (_what, value) => {
  expect(await guard({}, () => value)).toEqual({ outcome: 'executed', value });
  const replayed = await guard({}, () => 'again' as unknown);
  expect(replayed).toEqual({ outcome: 'replayed', value });
});

test('every replay gets a copy of its own', async () => {
  await guard({}, () => ({ list: [1] }));
  const first = await guard({}, () => ({ list: [0] }));
  first.value.list.push(2);
  expect((await guard({}, () => ({ list: [0] }))).value).toEqual({ list: [1] });
});

test('of two at once one executes, and the other is told that it is in progress', async () => {
  const beside = await startCalls({ beside: calls });
  const [begun, goOn] = [deferred(), deferred()];
  const first = guard({}, async ({ tx }) => {
    begun.resolve();
    await goOn.promise;
    return calls.write(tx, 'first');
  });
  await begun.promise;
  expect(await codeOf(guard({}, write('second')))).toBe('IDEMPOTENCY_IN_PROGRESS');
  expect(await codeOf(beside.idempotency.guard(call, write('third')))).toBe('IDEMPOTENCY_IN_PROGRESS');
  goOn.resolve();
  expect(await first).toEqual({ outcome: 'executed', value: 'first' });
  expect(await calls.effects()).toEqual(['first']);
});

test('twenty at once, without a signal between them: one effect, and one value for those who get any', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) => codeOf(guard({}, write(`try ${n}`)))),
  );
  const effects = await calls.effects();
  expect(effects).toHaveLength(1);
  const given = answers.filter((answer) => typeof answer !== 'string') as GuardAnswer<string>[];
  expect(given.filter(({ outcome }) => outcome === 'executed')).toHaveLength(1);
  for (const { value } of given) expect(value).toBe(effects[0]);
  for (const answer of answers)
    if (typeof answer === 'string') expect(answer).toBe('IDEMPOTENCY_IN_PROGRESS');
});

describe("inFlight: 'WAIT'", () => {
  async function inFlight(): Promise<{ finish: () => void; first: Promise<GuardAnswer<string>> }> {
    const [begun, goOn] = [deferred(), deferred()];
    const first = guard({}, async ({ tx }) => {
      begun.resolve();
      await goOn.promise;
      return calls.write(tx, 'first');
    });
    await begun.promise;
    return { finish: () => goOn.resolve(), first };
  }

  test('waits for the answer of the other call, here and in another process', async () => {
    const beside = await startCalls({ beside: calls });
    const { finish, first } = await inFlight();
    const waiting = [
      guard({ inFlight: 'WAIT' }, write('second')),
      beside.idempotency.guard({ ...call, inFlight: 'WAIT' }, write('third')),
    ];
    finish();
    await first;
    for (const answer of waiting) expect(await answer).toEqual({ outcome: 'replayed', value: 'first' });
    expect(await calls.effects()).toEqual(['first']);
  });

  test('ends when the client has gone, and the work goes on', async () => {
    const { finish, first } = await inFlight();
    const gone = new AbortController();
    const waiting = codeOf(guard({ inFlight: 'WAIT', signal: gone.signal }, write('second')));
    gone.abort();
    expect(await within(waiting, { timeoutMs: 3000 })).toBe('IDEMPOTENCY_IN_PROGRESS');
    finish();
    expect(await first).toEqual({ outcome: 'executed', value: 'first' });
  });

  test('the signal of the one that executes does not end it', async () => {
    const gone = new AbortController();
    const answer = guard({ inFlight: 'WAIT', signal: gone.signal }, async ({ tx }) => {
      gone.abort();
      return calls.write(tx, 'kept');
    });
    expect(await answer).toEqual({ outcome: 'executed', value: 'kept' });
  });
});

describe('errors', () => {
  test('what is thrown rolls back and is forgotten: a retry executes', async () => {
    const failing = guard({}, async ({ tx }) => {
      await calls.write(tx, 'lost');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await guard({}, write('kept'))).toEqual({ outcome: 'executed', value: 'kept' });
    expect(await calls.effects()).toEqual(['kept']);
  });

  test('a FinalError rolls back, and is thrown again, as a FinalError, by every retry', async () => {
    const declined = async ({ tx }: CurrentAttempt): Promise<never> => {
      await calls.write(tx, 'lost');
      throw new FinalError('declined', { extensions: { code: 'CARD_DECLINED', http: { status: 402 } } });
    };
    const first: unknown = await guard({}, declined).catch((error: unknown) => error);
    const again: unknown = await guard({}, write('never')).catch((error: unknown) => error);
    for (const error of [first, again]) {
      expect(error).toBeInstanceOf(FinalError);
      expect(error).toMatchObject({
        message: 'declined',
        extensions: { code: 'CARD_DECLINED', http: { status: 402 } },
      });
    }
    expect(again).not.toBe(first);
    expect(await calls.effects()).toEqual([]);
  });

  test('what storeError chooses is thrown as it is, and as a FinalError by retries', async () => {
    const thrown = new RangeError('too much');
    const throwing = () => {
      throw thrown;
    };
    await expect(guard({}, throwing)).rejects.toBe(thrown);
    const again: unknown = await guard({}, write('never')).catch((error: unknown) => error);
    expect(again).toBeInstanceOf(FinalError);
    expect((again as Error).message).toBe('too much');
  });

  test('an error of ours that is stored stays one of ours', async () => {
    const ending = async ({ tx }: CurrentAttempt): Promise<string> => {
      // Hidden from the transaction's own look at what it is sent.
      await tx.query(`do $$ begin execute 'set local idempotency.attempt = ''x'''; end $$`);
      return 'never';
    };
    for (const run of [ending, write('never')]) {
      const error: unknown = await guard({}, run).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(IdempotencyError);
      expect(error).toMatchObject({ code: 'IDEMPOTENCY_TRANSACTION_BROKEN' });
    }
  });

  test('an error that is returned is an error that is thrown', async () => {
    await expect(guard({}, () => new Error('returned'))).rejects.toThrow('returned');
    expect((await guard({}, () => 'next')).outcome).toBe('executed');
  });

  test('a result that cannot be stored is refused, and rolled back', async () => {
    class Money {
      cents = 5;
    }
    const answer = guard({}, async ({ tx }) => {
      await calls.write(tx, 'lost');
      return { total: new Money() };
    });
    await expect(answer).rejects.toThrow(
      /^capture: result\.total cannot be stored: it is an instance of Money/,
    );
    expect(await codeOf(guard({}, () => new Money()))).toBe('IDEMPOTENCY_RESULT_UNSERIALIZABLE');
    expect(await calls.effects()).toEqual([]);
  });
});

test('authorizeReplay runs before a replay, and only there; what it throws refuses it', async () => {
  const asked: string[] = [];
  const authorizeReplay = async (): Promise<void> => {
    asked.push('asked');
    if (asked.length === 2) throw new GraphQLError('revoked', { extensions: { code: 'FORBIDDEN' } });
  };
  await guard({ authorizeReplay }, write('a'));
  expect(asked).toEqual([]);
  expect((await guard({ authorizeReplay }, write('b'))).outcome).toBe('replayed');
  await expect(guard({ authorizeReplay }, write('c'))).rejects.toThrow('revoked');
  expect((await guard({ authorizeReplay }, write('d'))).outcome).toBe('replayed');
  expect(await calls.effects()).toEqual(['a']);
});

test('the attempt has its key, its number, and keys for outside services that stay the same', async () => {
  const seen: unknown[] = [];
  const look = ({ key, attempt, deriveKey }: CurrentAttempt): void => {
    seen.push([key, attempt, deriveKey('card'), deriveKey('mail')]);
    if (seen.length < 2) throw new Error('again');
  };
  await expect(guard({}, look)).rejects.toThrow('again');
  await guard({}, look);
  expect(seen[0]).toEqual([call.key, 1, expect.any(String), expect.any(String)]);
  expect(seen[1]).toEqual(seen[0]);
  await expect(guard({ key: `${call.key}-lease` }, ({ step }) => step)).rejects.toThrow(
    'capture has mode: TRANSACTION, so it has no steps.',
  );
});

test('telemetry tells how each call ended, by its name', async () => {
  const told: unknown[] = [];
  const hear = (data: unknown): void => {
    const message = data as IdempotencyMessage;
    if (message.type === 'answered') told.push([message.coordinate, message.outcome, message.code]);
  };
  subscribe('graphql-idempotency', hear);
  try {
    await guard({}, () => 1);
    await guard({}, () => 2);
    await codeOf(guard({ payload: 6 }, () => 3));
    await codeOf(guard({ key: 'with space' }, () => 4));
    await codeOf(guard({ key: `${call.key}-thrown` }, () => Promise.reject(new Error('no'))));
  } finally {
    unsubscribe('graphql-idempotency', hear);
  }
  expect(told).toEqual([
    ['capture', 'executed', undefined],
    ['capture', 'replayed', undefined],
    ['capture', 'refused', 'IDEMPOTENCY_KEY_REUSED'],
    ['capture', 'refused', 'IDEMPOTENCY_KEY_INVALID'],
    ['capture', 'failed', undefined],
  ]);
});
