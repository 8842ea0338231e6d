/** The load's bins: every request in the one of its time. */

import { expect, test } from 'vitest';
import { Load } from '../../bench/storm/load.ts';

function loadOf(arrivals: readonly number[]): Load {
  const load = new Load();
  for (const ms of arrivals) load.count(ms);
  return load;
}

test('a request counts in the second in which it arrives', () => {
  const load = loadOf([0, 999, 1000, 2999]);
  expect(load.overNormal(2, { binMs: 1000, untilMs: 3000 })).toEqual([1, 0.5, 0.5]);
});

test('a second without a request is empty, not missing', () => {
  expect(loadOf([0, 3500]).overNormal(1, { binMs: 1000, untilMs: 5000 })).toEqual([1, 0, 0, 1, 0]);
});

test('a second that is not over does not count', () => {
  expect(loadOf([0, 1000, 1400]).overNormal(1, { binMs: 1000, untilMs: 1500 })).toEqual([1]);
});

test('a crowd in ten milliseconds is seen there, and less of it in the second', () => {
  const load = loadOf([...Array.from({ length: 50 }, () => 205), ...Array.from({ length: 50 }, () => 700)]);
  expect(Math.max(...load.overNormal(100, { binMs: 10, untilMs: 1000 }))).toBe(50);
  expect(load.overNormal(100, { binMs: 1000, untilMs: 1000 })).toEqual([1]);
});
