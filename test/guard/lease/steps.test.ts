/** Steps: what a later attempt gets of an earlier one, and by which keys outside systems know them. */

import type { StepCall } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred, within } from '../../support/signal.ts';
import { raise, startLeases, storable } from './leases.ts';
import type { Call, Leases } from './leases.ts';

let leases: Leases;
let keys = 0;
let key: string;
beforeAll(async () => {
  leases = await startLeases({ maxResultBytes: 2000 });
});
beforeEach(() => {
  key = `steps-${(keys += 1)}`;
  leases.counts.runs = 0;
  leases.log.length = 0;
});

/** A first attempt that ends, after its steps, as a process does that is killed. */
async function crashAfter(act: (call: Call) => unknown): Promise<void> {
  leases.during = async (call) => {
    await act(call);
    throw new Error('crash');
  };
  expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
}

describe('a step that is done returns its result, and does not run:', () => {
  test.each(storable)('%s', async (_name, value) => {
    await crashAfter(({ step }) => step('a', () => value));
    let recalled: unknown = 'nothing';
    leases.during = async ({ step }) => {
      recalled = await step('a', () => raise(new Error('ran again')));
      return 'done';
    };
    expect((await leases.call('rerun', key)).value).toBe('done');
    expect(recalled).toStrictEqual(value);
    expect(await leases.steps(key)).toEqual([]);
  });

  test('in every later attempt, whoever recorded it', async () => {
    const runs: string[] = [];
    const act =
      (names: string[]) =>
      async ({ step, attempt }: Call) => {
        for (const name of names) {
          await step(name, () => {
            runs.push(`${name} in ${attempt}`);
            return name;
          });
        }
      };
    await crashAfter(act(['a']));
    await crashAfter(act(['a', 'b']));
    expect(await leases.steps(key)).toEqual([
      { name: 'a', outcome: 'result', attempt: 1 },
      { name: 'b', outcome: 'result', attempt: 2 },
    ]);
    leases.during = act(['a', 'b', 'c']);
    expect((await leases.call('rerun', key)).error).toBeUndefined();
    expect(runs).toEqual(['a in 1', 'b in 2', 'c in 3']);
  });

  test('and gives each attempt objects of its own', async () => {
    await crashAfter(({ step }) => step('a', () => ({ list: [1] })));
    leases.during = async ({ step }) => {
      const first = await step('a', () => ({ list: [0] }));
      first.list.push(2);
      throw new Error('crash');
    };
    await leases.call('rerun', key);
    leases.during = ({ step }) => step('a', () => ({ list: [0] }));
    expect((await leases.call('rerun', key)).value).toEqual({ list: [1] });
  });

  test('one that was interrupted runs again, with the same key', async () => {
    const given: string[] = [];
    const pay = ({ key: derived }: StepCall): never => {
      given.push(derived);
      throw new Error('the answer was lost');
    };
    for (let call = 0; call < 2; call += 1) {
      leases.during = ({ step }) => step('pay', pay);
      await leases.call('rerun', key);
    }
    leases.during = ({ step }) => step('pay', (call) => given.push(call.key));
    expect((await leases.call('rerun', key)).value).toBe(3);
    expect(new Set(given).size).toBe(1);
  });
});

describe('the key of a step', () => {
  test('is that of its name: the same in every attempt, another for every step, call and user', async () => {
    const given: Record<string, string>[] = [];
    const act = async ({ step, deriveKey }: Call) => {
      const keysOf: Record<string, string> = {};
      for (const name of ['a', 'b']) {
        await step(name, (call) => {
          keysOf[name] = call.key;
          throw new Error('not recorded');
        }).catch(() => {});
        expect(deriveKey(name)).toBe(keysOf[name]);
      }
      await step
        .transaction('c', (_tx, call) => {
          keysOf['c'] = call.key;
          throw new Error('not recorded');
        })
        .catch(() => {});
      expect(deriveKey('c')).toBe(keysOf['c']);
      given.push(keysOf);
      throw new Error('crash');
    };
    leases.during = act;
    await leases.call('rerun', key);
    await leases.call('rerun', key);
    expect(given[1]).toEqual(given[0]);
    await leases.call('rerun', `${key}-other`);
    const all = [...Object.values(given[0]!), ...Object.values(given[2]!)];
    expect(new Set(all).size).toBe(6);
    // Nothing of the client's key, for it goes to others; and fit for a header.
    for (const derived of all) expect(derived).toMatch(/^[\w-]{43}$/);
  });

  test('is also what recover and operators derive', async () => {
    let derived: string | undefined;
    await crashAfter(({ step }) => step('a', (call) => (derived = call.key)));
    const identity = leases.identity(key).toString('hex');
    const abandoned = (await leases.idempotency.abandoned()).find((one) => one.identity === identity)!;
    expect(abandoned.deriveKey('a')).toBe(derived);
    expect(abandoned.steps).toEqual([{ name: 'a', attempt: 1, outcome: 'result', value: derived }]);
  });
});

test('a step is told which attempt it belongs to, and gets a signal', async () => {
  const calls: StepCall[] = [];
  const act = ({ step }: Call): Promise<never> =>
    step('a', (call) => {
      calls.push(call);
      throw new Error('again');
    });
  leases.during = act;
  await leases.call('rerun', key);
  await leases.call('rerun', key);
  expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2]);
  for (const { signal } of calls) expect(signal.aborted).toBe(false);
});

test('steps may run side by side', async () => {
  const [one, two] = [deferred(), deferred()];
  leases.during = ({ step }) =>
    Promise.all([
      step('one', async () => (one.resolve(), await two.promise, 1)),
      step('two', async () => (two.resolve(), await one.promise, 2)),
      step.transaction('three', async (tx) => {
        await tx.query("insert into effects (name) values ('three')");
        return 3;
      }),
    ]);
  expect((await within(leases.call('rerun', key))).value).toEqual([1, 2, 3]);
  expect(await leases.effects()).toEqual(['three']);
});

test('a step within a step is another step', async () => {
  const act = ({ step }: Call) => step('outer', async () => [await step('inner', () => 1), 2]);
  await crashAfter(act);
  expect((await leases.steps(key)).map(({ name }) => name)).toEqual(['inner', 'outer']);
  // The later attempt does not come to the inner one: it is as if the code no longer called it.
  leases.during = act;
  const again = await leases.call('rerun', key);
  expect([again.value, again.code]).toEqual([null, 'IDEMPOTENCY_OUTCOME_UNKNOWN']);
});

describe('a name', () => {
  const twice: readonly (readonly [string, (call: Call) => Promise<unknown>])[] = [
    ['one after the other', async ({ step }) => (await step('a', () => 1), step('a', () => 2))],
    ['side by side', ({ step }) => Promise.all([step('a', () => 1), step('a', () => 2)])],
    [
      'once with a transaction',
      async ({ step }) => (await step('a', () => 1), step.transaction('a', () => 2)),
    ],
    [
      'after a failure',
      async ({ step }) => (await step('a', () => raise(new Error('x'))).catch(() => {}), step('a', () => 2)),
    ],
  ];
  test.each(twice)('twice in an attempt is an error: %s', async (_how, act) => {
    leases.during = act;
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    const cause = leases.log.at(-1)?.facts?.cause as Error;
    expect(cause.message).toMatch(/^Mutation\.rerun: step "a" was called twice in one attempt\./);
  });

  test.each<readonly [string, unknown]>([
    ['nothing', undefined],
    ['no text', 5],
    ['an object', { toString: () => 'a' }],
    ['empty text', ''],
    ['text with NUL', 'a\u0000b'],
    ['too much text', 'x'.repeat(256)],
    // Postgres and the derived key would make one name of several.
    ['half a character', 'a\ud800'],
  ])('may not be %s', async (_what, name) => {
    const ran: unknown[] = [];
    const refused: unknown[] = [];
    leases.during = async ({ step }) => {
      const wrong = name as string;
      await step(wrong, () => ran.push(1)).catch((error: unknown) => refused.push(error));
      await step.transaction(wrong, () => ran.push(2)).catch((error: unknown) => refused.push(error));
      return 'done';
    };
    expect((await leases.call('rerun', key)).value).toBe('done');
    expect(ran).toEqual([]);
    expect(refused).toEqual([expect.any(TypeError), expect.any(TypeError)]);
  });

  test.each([
    `it's "x" \\ $1 ; -- :a`,
    ' ',
    'x'.repeat(255),
    '😀'.repeat(127),
    '__proto__',
    'constructor',
    'a/ö',
  ])('may be %j', async (name) => {
    await crashAfter(async ({ step }) => {
      await step(name, () => 1);
      await step.transaction(`t${name}`.slice(0, 255), () => 2);
    });
    leases.during = async ({ step }) => [
      await step(name, () => 'again'),
      await step.transaction(`t${name}`.slice(0, 255), () => 'again'),
    ];
    expect((await leases.call('rerun', key)).value).toEqual([1, 2]);
  });
});

describe('a result that cannot be stored', () => {
  test.each<readonly [string, (call: Call) => Promise<unknown>]>([
    ['of a step', ({ step }) => step('a', () => () => 5)],
    ['of a step with a transaction', ({ step }) => step.transaction('a', () => () => 5)],
    ['that is too large', ({ step }) => step('a', () => 'x'.repeat(3000))],
  ])('%s, is returned now; a later attempt cannot know it', async (_what, act) => {
    let returned: unknown;
    await crashAfter(async (call) => {
      returned = await act(call);
    });
    expect(typeof returned === 'string' || (returned as () => number)() === 5).toBe(true);
    expect(await leases.steps(key)).toEqual([{ name: 'a', outcome: 'omitted', attempt: 1 }]);
    expect(leases.log[0]).toMatchObject({
      level: 'error',
      message: expect.stringMatching(/^Mutation\.rerun, step "a": /),
    });
    leases.during = act;
    for (let call = 0; call < 2; call += 1)
      expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(leases.log.at(-1)!.facts!.cause).toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
    expect((await leases.row(key))?.state).toBe('unknown');
  });

  test('does not keep the attempt itself from completing', async () => {
    leases.during = async ({ step }) => typeof (await step('a', () => () => 5));
    expect((await leases.call('rerun', key)).value).toBe('function');
    expect((await leases.call('rerun', key)).value).toBe('function');
    expect(leases.counts.runs).toBe(1);
  });
});
