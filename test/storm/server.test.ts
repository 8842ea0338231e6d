/** The storm's server: what it executes, and what its callers hear of it. */

import { describe, expect, test } from 'vitest';
import { StormServer } from '../../bench/storm/server.ts';
import { VirtualClock } from '../../bench/storm/virtual-clock.ts';
import { DEFAULT_WORLD } from '../../bench/storm/world.ts';

const world = {
  ...DEFAULT_WORLD,
  clients: 10,
  ratePerClient: 10,
  warmUpMs: 1000,
  outageMs: 1000,
  lostShare: 0,
};

interface Asked {
  readonly atMs: number;
  readonly intent?: number;
  readonly key?: string;
}

/** Asks as it is told; says what was heard, and when. */
async function ask(asked: readonly Asked[]): Promise<{ heard: string[]; server: StormServer }> {
  const clock = new VirtualClock();
  const server = new StormServer(world, clock);
  const heard: string[] = asked.map(() => 'nothing');
  asked.forEach(({ atMs, intent = 0, key }, index) => {
    clock.at(atMs, () => {
      server.receive({ intent, key }, (answer) => {
        heard[index] = `${answer} at ${clock.nowMs}`;
      });
    });
  });
  await clock.run();
  return { heard, server };
}

test('a key is executed once, however often it is sent', async () => {
  const { heard, server } = await ask([
    { atMs: 10, key: 'a' },
    { atMs: 50, key: 'a' },
  ]);
  expect(heard).toEqual(['done at 30', 'done at 70']);
  expect(server.executedTwice()).toBe(0);
});

test('an intent that is sent twice without a key, or with two, is executed twice', async () => {
  const { server } = await ask([
    { atMs: 10, intent: 1 },
    { atMs: 50, intent: 1 },
    { atMs: 60, intent: 2, key: 'a' },
    { atMs: 70, intent: 2, key: 'b' },
    { atMs: 80, intent: 3, key: 'c' },
  ]);
  expect(server.executedTwice()).toBe(2);
});

describe('the outage', () => {
  test('loses the answers of what was under way, and executes it all the same', async () => {
    const { heard, server } = await ask([
      { atMs: 990 },
      { atMs: 1049, intent: 1 },
      { atMs: 2100 },
      { atMs: 2200, intent: 1 },
    ]);
    expect(heard).toEqual(['lost at 1050', 'lost at 1050', 'done at 2120', 'done at 2220']);
    expect(server.executedTwice()).toBe(2);
  });

  test('leaves alone what was answered before it', async () => {
    expect((await ask([{ atMs: 980 }])).heard).toEqual(['done at 1000']);
  });

  test('refuses and executes nothing until it is over', async () => {
    const { heard, server } = await ask([{ atMs: 1050 }, { atMs: 1999 }, { atMs: 2000 }]);
    expect(heard).toEqual(['refused at 1055', 'refused at 2004', 'done at 2020']);
    expect(server.executedTwice()).toBe(0);
  });
});

test('a little over its capacity for a moment, it takes all', async () => {
  // 150 a second, and half of a tenth of that may queue before any is refused.
  const crowd = Array.from({ length: 7 }, (_, intent) => ({ atMs: 3000, intent }));
  expect(new Set((await ask(crowd)).heard)).toEqual(new Set(['done at 3020']));
});

test('far above its capacity it takes what it can, and refuses the rest', async () => {
  const crowd = Array.from({ length: 4000 }, (_, intent) => ({ atMs: 3000 + (intent >> 1), intent }));
  const { heard } = await ask([...crowd, { atMs: 6000 }]);
  const taken = heard.filter((answer) => answer.startsWith('done'));
  expect(taken.length / 300).toBeCloseTo(1, 0.5);
  expect(heard.filter((answer) => answer.startsWith('refused'))).toHaveLength(4001 - taken.length);
  expect(heard.at(-1)).toBe('done at 6020');
});
