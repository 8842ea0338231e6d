/**
 * The state machine of lease mode, in every order of what two attempts, whoever finds out, the sweeper, the
 * clock, crashes and a network that loses, delays and repeats can do.
 */

import { describe, expect, test } from 'vitest';
import { explore } from './lease-exploration.ts';
import type { Rules } from './lease-actors.ts';
import { brokenWrites } from './lease-broken-writes.ts';
import { KINDS } from './lease-world.ts';
import { write } from '../../src/record/lease.ts';

const rules: Readonly<Record<Rules['abandoned'], Rules>> = {
  REFUSE: { abandoned: 'REFUSE', maxAttempts: 5, steps: 1, late: 1 },
  RERUN: { abandoned: 'RERUN', maxAttempts: 2, steps: 1, late: 1 },
};

const mustBeCovered = [
  ...['none', 'pending', 'unknown', 'completed'].map((state) => `row ${state}`),
  ...['busy', 'replay', 'expired', 'abandoned'].map((kind) => `decided ${kind}`),
  ...[...KINDS, 'sweep'].flatMap((kind) => [`${kind} accepted`, `${kind} refused`]),
];

describe.each(['REFUSE', 'RERUN'] as const)('abandoned: %s', (abandoned) => {
  test('every state that can be reached keeps the promises, and has a way out', { timeout: 120_000 }, () => {
    const { states, transitions, depth, covered, stuck } = explore(rules[abandoned], write);
    const count = (value: number): string => value.toLocaleString('en-US');
    console.log(
      `${abandoned}: explored ${count(states)} states, ${count(transitions)} transitions, depth ${depth}`,
    );
    expect([...covered].toSorted()).toEqual(mustBeCovered.toSorted());
    expect(stuck).toBe(0);
    expect(states).toBeGreaterThan(10_000);
  });
});

describe('the exploration notices', () => {
  test.each(brokenWrites)('$name', { timeout: 120_000 }, ({ broken, abandoned, says }) => {
    const small = { ...rules[abandoned ?? 'RERUN'] };
    const explored = (): unknown => explore(small, broken);
    expect(explored).toThrow(says);
  });

  test('an abandoned attempt that nobody can take over', () => {
    const { stuck } = explore({ ...rules.REFUSE, late: 0 }, (row, intent, clockMs) =>
      intent.kind === 'take-over' && row?.record.state === 'unknown'
        ? 'refused'
        : write(row, intent, clockMs),
    );
    expect(stuck).toBeGreaterThan(0);
  });
});
