/** The storm's clock: what is called when, and that nothing of it stays behind. */

import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../bench/storm/virtual-clock.ts';
import { withVirtualTime } from '../../bench/storm/with-virtual-time.ts';

describe('timers', () => {
  test('are called by time, and within a millisecond in the order in which they were set', async () => {
    const clock = new VirtualClock();
    const called: string[] = [];
    const call = (name: string) => (): void => void called.push(`${name} at ${clock.nowMs}`);
    clock.at(5, call('third'));
    clock.at(2, call('first'));
    clock.at(2, call('second'));
    clock.at(60_000, call('last'));
    await clock.run();
    expect(called).toEqual(['first at 2', 'second at 2', 'third at 5', 'last at 60000']);
  });

  test('that are taken back are not called, in whatever order', async () => {
    const clock = new VirtualClock();
    const called: number[] = [];
    const timers = [0, 1, 2, 3].map((number) => clock.at(7, () => void called.push(number)));
    clock.cancel(timers[2]!);
    clock.cancel(timers[0]!);
    clock.cancel(timers[0]!);
    expect(clock.pending).toBe(2);
    await clock.run();
    expect(called).toEqual([1, 3]);
    expect(clock.pending).toBe(0);
  });

  test('may be taken back by one of the same millisecond', async () => {
    const clock = new VirtualClock();
    let called = false;
    clock.at(1, () => clock.cancel(late));
    const late = clock.at(1, () => {
      called = true;
    });
    await clock.run();
    expect(called).toBe(false);
  });

  test('wait until promises have gone as far as they can', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.at(1, () => {
      void (async () => {
        for (let step = 0; step < 100; step += 1) await Promise.resolve();
        seen.push(`promise at ${clock.nowMs}`);
        clock.at(clock.nowMs, () => void seen.push(`its timer at ${clock.nowMs}`));
      })();
    });
    clock.at(2, () => void seen.push('next'));
    await clock.run();
    expect(seen).toEqual(['promise at 1', 'its timer at 1', 'next']);
  });

  test('end the run with what they throw', async () => {
    const clock = new VirtualClock();
    clock.at(1, () => {
      throw new Error('out of order');
    });
    await expect(clock.run()).rejects.toThrow('out of order');
  });
});

describe('virtual time', () => {
  test('is what code that knows nothing of it sees', async () => {
    const seen: unknown[] = [];
    await withVirtualTime({ seed: 1 }, () => {
      const begun = Date.now();
      const cleared = setTimeout(() => void seen.push('cleared'), 10);
      setTimeout(() => {
        clearTimeout(cleared);
        seen.push(Date.now() - begun, performance.now());
      }, 9.9);
      setTimeout(() => void seen.push(Date.now() - begun), 3_600_000);
    });
    expect(seen).toEqual([9, 9, 3_600_000]);
  });

  test('draws the same numbers for the same seed, and others for another', async () => {
    const draw = async (seed: number): Promise<number[]> => {
      const drawn: number[] = [];
      await withVirtualTime({ seed }, () => {
        for (let index = 0; index < 5; index += 1) drawn.push(Math.random());
      });
      return drawn;
    };
    const drawn = await draw(7);
    expect(await draw(7)).toEqual(drawn);
    expect(await draw(8)).not.toEqual(drawn);
    expect(drawn.every((number) => number >= 0 && number < 1)).toBe(true);
  });

  test('is one at a time', async () => {
    const run = withVirtualTime({ seed: 1 }, (clock) => void clock.at(1, () => undefined));
    await expect(withVirtualTime({ seed: 1 }, () => undefined)).rejects.toThrow(/already/);
    await run;
    await withVirtualTime({ seed: 1 }, () => undefined);
  });

  test.each([['ends'], ['fails']])('leaves the platform as it was when it %s', async (how) => {
    const parts = (): unknown[] => [
      globalThis.setTimeout,
      globalThis.clearTimeout,
      globalThis.AbortController,
      globalThis.Headers,
      globalThis.Response,
      Date.now,
      Math.random,
    ];
    const before = parts();
    const run = withVirtualTime(
      { seed: 1, platform: { AbortController: 1, Headers: 2, Response: 3 } },
      () => {
        expect(globalThis.Headers).toBe(2);
        expect(Math.random).not.toBe(before.at(-1));
        if (how === 'fails') throw new Error('no storm today');
      },
    );
    await run.catch(() => undefined);
    expect(parts().map((part, index) => part === before[index])).not.toContain(false);
    expect(Object.hasOwn(performance, 'now')).toBe(false);
  });
});
