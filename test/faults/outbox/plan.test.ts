/** The plan of a chaos run: the same for the same seed, and with some of everything. */

import { expect, test } from 'vitest';
import { committedEvents, planCall } from './plan-call.ts';
import { brokerRestarts, processFaults } from './plan-faults.ts';

const LEASE_MS = 2500;

function firstFaults(seed: number, count: number): unknown[] {
  const faults = processFaults(seed, LEASE_MS);
  return Array.from({ length: count }, () => faults.next().value);
}

test('the same seed plans the same calls and faults, and another seed others', () => {
  const calls = (seed: number) => Array.from({ length: 50 }, (_, index) => planCall(seed, index));
  expect(calls(1)).toEqual(calls(1));
  expect(calls(1)).not.toEqual(calls(2));
  expect(firstFaults(1, 30)).toEqual(firstFaults(1, 30));
  expect(firstFaults(1, 30)).not.toEqual(firstFaults(2, 30));
  expect(brokerRestarts(1)).toEqual(brokerRestarts(1));
});

test('a fifth of the calls is rolled back, and all kinds are among them', () => {
  const calls = Array.from({ length: 5000 }, (_, index) => planCall(7, index));
  const rolledBack = calls.filter((call) => committedEvents(call) === 0).length;
  expect(rolledBack / calls.length).toBeCloseTo(0.2, 1);
  expect(new Set(calls.map(({ kind }) => kind)).size).toBe(6);
  expect(new Set(calls.map(({ repeated }) => repeated)).size).toBe(3);
});

test('the first nine faults kill a relay, a consumer and the caller, and freeze the first two beyond their lease', () => {
  const faults = Array.from({ length: 9 }, (_, at) => firstFaults(3, at + 1)[at]) as ReturnType<
    ReturnType<typeof processFaults>['next']
  >['value'][];
  const killed = faults.filter(({ frozenMs }) => frozenMs === undefined).map(({ role }) => role);
  expect(new Set(killed)).toEqual(new Set(['relay', 'ledger', 'mutator']));
  const frozen = faults.filter(({ frozenMs }) => frozenMs !== undefined);
  expect(frozen.map(({ role }) => role).toSorted()).toEqual(['ledger', 'relay']);
  for (const { frozenMs } of frozen) expect(frozenMs).toBeGreaterThan(LEASE_MS);
});

test('the broker is killed at least once, whatever the seed', () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const restarts = brokerRestarts(seed);
    expect(restarts.map(({ how }) => how)).toContain('kill');
    expect(restarts[0].at).toBeLessThan(restarts[1].at);
  }
});
