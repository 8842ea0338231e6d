import { expect, test } from 'vitest';
import { createLanes } from '../../src/brokers/lanes.ts';
import { deferred } from '../support/signal.ts';
import type { Deferred } from '../support/signal.ts';

interface Noted {
  readonly begun: string[];
  readonly work: (name: string) => () => Promise<void>;
  /** Ends the work, and lets what waits for it begin. */
  readonly end: (name: string, how?: 'resolve' | 'reject') => Promise<void>;
}

function note(): Noted {
  const ends = new Map<string, Deferred<void>>();
  const begun: string[] = [];
  return {
    begun,
    work: (name) => () => {
      begun.push(name);
      const end = deferred();
      ends.set(name, end);
      return end.promise;
    },
    async end(name, how = 'resolve') {
      const { promise, resolve, reject } = ends.get(name)!;
      if (how === 'resolve') resolve();
      else reject(new Error(name));
      await promise.catch(() => {});
      await turn();
    },
  };
}

/** All promises that could settle have settled. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('messages of different keys, and those without one, are handled at once', () => {
  const lanes = createLanes();
  const { begun, work } = note();
  lanes.run('a', work('a1'));
  lanes.run('b', work('b1'));
  lanes.run(undefined, work('x'));
  lanes.run(undefined, work('y'));
  expect(begun).toEqual(['a1', 'b1', 'x', 'y']);
});

test('messages of one key are handled one after the other, in the order in which they came', async () => {
  const lanes = createLanes();
  const { begun, work, end } = note();
  for (const name of ['a1', 'a2', 'a3']) lanes.run('a', work(name));
  await turn();
  expect(begun).toEqual(['a1']);
  await end('a1');
  expect(begun).toEqual(['a1', 'a2']);
  // While the second is under way, and the third waits for it.
  lanes.run('a', work('a4'));
  await turn();
  expect(begun).toEqual(['a1', 'a2']);
  await end('a2');
  await end('a3');
  expect(begun).toEqual(['a1', 'a2', 'a3', 'a4']);
  await end('a4');
  lanes.run('a', work('a5'));
  expect(begun.at(-1)).toBe('a5');
});

test('work that rejects does not hold back its key', async () => {
  const lanes = createLanes();
  const { begun, work, end } = note();
  lanes.run('a', work('a1'));
  lanes.run('a', work('a2'));
  await end('a1', 'reject');
  expect(begun).toEqual(['a1', 'a2']);
  await end('a2');
  await lanes.idle();
});

test('it is idle when all is done, what was added while somebody waited for that included', async () => {
  const lanes = createLanes();
  const { work, end } = note();
  await lanes.idle();
  lanes.run('a', work('a1'));
  lanes.run('a', work('a2'));
  let idle = false;
  const waiting = lanes.idle().then(() => {
    idle = true;
  });
  await end('a1');
  lanes.run(undefined, work('x'));
  await end('a2');
  expect(idle).toBe(false);
  await end('x');
  await waiting;
});
