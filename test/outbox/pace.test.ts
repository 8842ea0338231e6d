/** When a relay looks again, where it looks from, and how long what failed waits. */

import { beforeAll, describe, expect, test } from 'vitest';
import { Pace } from '../../src/outbox/pace.ts';
import { retryDelayMs } from '../../src/outbox/retry-delay.ts';
import { Search } from '../../src/outbox/search.ts';
import { eventually, within } from '../support/signal.ts';
import { relayMessages, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

const OPTIONS = { pollMinMs: 50, pollMaxMs: 2000 };

describe('the pace', () => {
  test('doubles while there is nothing, up to its longest, and is quick again with the first event', () => {
    const pace = new Pace(OPTIONS, () => 1);
    const waits = Array.from({ length: 8 }, () => pace.next('none'));
    expect(waits).toEqual([50, 100, 200, 400, 800, 1600, 2000, 2000]);
    expect(pace.next('some')).toBe(50);
    expect(pace.next('none')).toBe(50);
  });

  test('does not wait where there may be more', () => {
    const pace = new Pace(OPTIONS);
    pace.next('none');
    expect(pace.next('full')).toBe(0);
  });

  test('has jitter, and never exceeds its longest', () => {
    for (const random of [0, 0.5, 0.999]) {
      const pace = new Pace(OPTIONS, () => random);
      const waits = Array.from({ length: 9 }, () => pace.next('none'));
      expect(Math.max(...waits)).toBeLessThanOrEqual(2000);
      expect(waits[0]).toBeGreaterThanOrEqual(37);
    }
  });

  test('a hint ends a long wait, before it or during it', async () => {
    const { signal } = new AbortController();
    const pace = new Pace({ pollMinMs: 1, pollMaxMs: 3_600_000 });
    const waiting = pace.wait(3_600_000, signal);
    pace.hint();
    await within(waiting);
    pace.hint();
    await within(pace.wait(3_600_000, signal));
    expect(pace.next('none')).toBeLessThanOrEqual(1);
  });

  test('the end of the relay ends any wait', async () => {
    const ending = new AbortController();
    const pace = new Pace({ pollMinMs: 3_600_000, pollMaxMs: 3_600_000 });
    const waiting = pace.wait(3_600_000, ending.signal);
    ending.abort();
    await within(waiting);
    await within(pace.wait(3_600_000, ending.signal));
  });
});

describe('a relay', () => {
  let setting: OutboxCase;
  beforeAll(async () => {
    setting = await startOutboxCase();
  });

  test('asks more and more rarely while there is nothing, and at once when there is', async () => {
    const messages = relayMessages();
    const waits = (): number[] => messages.flatMap((told) => (told.event === 'waiting' ? [told.waitMs] : []));
    const relay = setting.relay({ pollMinMs: 2, pollMaxMs: 64 });
    relay.start();
    await eventually(() => waits().some((ms) => ms > 40));
    const idle = waits();
    expect(idle[0]).toBeLessThanOrEqual(2);
    expect(Math.max(...idle)).toBeLessThanOrEqual(64);
    await setting.add({});
    await eventually(() => relay.published.length === 1);
    await eventually(() =>
      waits()
        .slice(idle.length)
        .some((ms) => ms <= 2),
    );
  });

  test('goes slowly while nothing can be published: a broker that is down is not stormed', async () => {
    const messages = relayMessages();
    await setting.add({}, {}, {});
    const relay = setting.relay({
      batchSize: 1,
      pollMinMs: 2,
      pollMaxMs: 64,
      publish: () => {
        throw new Error('down');
      },
    });
    relay.start();
    await eventually(() => messages.some((told) => told.event === 'waiting' && told.waitMs > 40));
    expect(messages.some(({ event }) => event === 'failed')).toBe(true);
  });
});

test('what failed waits for a random part of a time that doubles, up to the longest', () => {
  const backoff = { backoffMs: 100, maxBackoffMs: 5000 };
  const longest = Array.from({ length: 8 }, (_, at) => retryDelayMs(at + 1, backoff, () => 1));
  expect(longest).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  expect(retryDelayMs(3, backoff, () => 0)).toBe(0);
  expect(retryDelayMs(100_000, backoff, () => 1)).toBe(5000);
});

describe('a look into the outbox', () => {
  test('begins at the beginning, where that takes no more than a tenth of the time', () => {
    const search = new Search();
    expect(search.sinceMs(1000)).toBeUndefined();
    search.found({ doneMs: 70_000, askedMs: 1000 }, 1002);
    // 2 ms: due again after 18.
    expect(search.sinceMs(1010)).toBe(69_000);
    search.found({ doneMs: 71_000, askedMs: 1010 }, 1011);
    expect(search.sinceMs(1019)).toBe(70_000);
    expect(search.sinceMs(1020)).toBeUndefined();
  });

  test('begins at the beginning where nothing can be said of what is done', () => {
    const search = new Search();
    search.sinceMs(1000);
    search.found({ doneMs: undefined, askedMs: 1000 }, 2000);
    expect(search.sinceMs(2001)).toBeUndefined();
  });
});
