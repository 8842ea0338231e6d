/** The judge of a chaos run sees what it is there for: each test breaks one promise in the evidence of a good run. */

import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { judge } from './judge.ts';
import type { Evidence, PaidEvent, Violations } from './judge.ts';
import type { Publication } from './journal.ts';
import type { CallKind, PlannedCall } from './plan-call.ts';

const planned = (index: number, kind: CallKind, events = 1): PlannedCall => ({
  index,
  kind,
  orderingKey: undefined,
  topics: Array.from({ length: events }, () => 'payment.captured'),
  failsAfter: 1,
  repeated: 'never',
});
const event = (call: number, number: number, execution = randomUUID()): PaidEvent => ({
  call,
  eventId: randomUUID(),
  execution,
  place: { orderingKey: 'a', number },
});
const published = ({ eventId }: PaidEvent): Publication[] => [
  { what: 'begun', eventId },
  { what: 'confirmed', eventId },
];

const execution = randomUUID();
/** Of one key; the last two of one call. */
const events = [event(0, 0), event(1, 1), event(3, 2, execution), event(3, 3, execution)];
const [first, second, third, fourth] = events as [PaidEvent, PaidEvent, PaidEvent, PaidEvent];

/** Of four calls, of which one was rolled back. */
const good: Evidence = {
  calls: [
    planned(0, 'plain'),
    planned(1, 'second-try'),
    planned(2, 'thrown'),
    planned(3, 'undone-savepoint', 2),
  ],
  begun: new Set([0, 1, 2, 3]),
  answered: new Set([0, 1, 2, 3]),
  complaints: [],
  paid: events,
  seen: events,
  publications: events.flatMap(published),
  ledger: events,
  inOutbox: 0,
  deadEvents: [],
  deadMessages: [],
  atBroker: 0,
};

/** What is counted, where it is not nothing. */
function counted(changes: Partial<Evidence>): Partial<Violations> {
  const { violations, total } = judge({ ...good, ...changes });
  const broken = Object.entries(violations).filter(([, count]) => count > 0);
  expect(total).toBe(broken.reduce((sum, [, count]) => sum + Number(count), 0));
  return Object.fromEntries(broken);
}

test('a good run breaks no promise, with repetitions of publications and deliveries', () => {
  expect(counted({})).toEqual({});
  const publications = [...good.publications, ...good.publications];
  expect(counted({ seen: [...events, ...events], publications })).toEqual({});
});

test('an event that no consumer has seen is missing', () => {
  expect(counted({ seen: [first, second, fourth] })).toEqual({ missing: 1 });
});

test('an event that was seen with the payload of another execution is foreign, and still missing', () => {
  const other = { ...third, execution: randomUUID() };
  expect(counted({ seen: [first, second, other, fourth] })).toEqual({ foreign: 1, missing: 1 });
});

test('an event that nobody has committed is foreign, and so is its row in the ledger', () => {
  const invented = event(2, 4);
  expect(counted({ seen: [...events, invented] })).toEqual({ foreign: 1 });
  expect(counted({ ledger: [...events, invented] })).toEqual({ misbooked: 1 });
});

test('an event that is not in the ledger counts, and so does each row beyond the first', () => {
  expect(counted({ ledger: [first, second, third] })).toEqual({ unbooked: 1 });
  expect(counted({ ledger: [...events, second, second] })).toEqual({ doubled: 2 });
});

describe('order', () => {
  const inTurn = (...order: PaidEvent[]): Partial<Violations> =>
    counted({ publications: order.flatMap(published) });

  test('an event that was published before the one in front of it counts', () => {
    expect(inTurn(second, first, third, fourth)).toEqual({ disordered: 1 });
    expect(inTurn(fourth, third, second, first)).toEqual({ disordered: 3 });
  });

  test('an event that was begun before the one in front of it was confirmed counts', () => {
    const [begun, confirmed] = published(first) as [Publication, Publication];
    const others = [third, fourth].flatMap(published);
    expect(counted({ publications: [begun, ...published(second), confirmed, ...others] })).toEqual({
      disordered: 1,
    });
  });

  test('a repetition counts for nothing, and neither does a try that was never confirmed', () => {
    expect(inTurn(first, second, first, third, second, fourth, first)).toEqual({});
    const publications = [published(first)[0]!, ...good.publications];
    expect(counted({ publications })).toEqual({});
  });

  test('events of other keys, and those without one, have no order', () => {
    const paid = [first, { ...second, place: { orderingKey: 'b', number: 0 } }, third, fourth];
    const publications = [second, first, third, fourth].flatMap(published);
    expect(counted({ paid, publications })).toEqual({});
    const unkeyed = events.map((one) => ({ ...one, place: undefined }));
    expect(counted({ paid: unkeyed, publications: events.toReversed().flatMap(published) })).toEqual({});
  });
});

describe('calls', () => {
  test('one that was rolled back and has committed counts', () => {
    const stray = { ...event(2, 4), place: undefined };
    const all = [...events, stray];
    expect(counted({ paid: all, seen: all, ledger: all })).toEqual({ miscommitted: 1 });
  });

  test('one that was answered and has not committed, or in part, counts', () => {
    const without = (lost: PaidEvent): Partial<Violations> => {
      const rest = events.filter((one) => one !== lost);
      return counted({ paid: rest, seen: rest, ledger: rest });
    };
    expect(without(first)).toEqual({ miscommitted: 1 });
    expect(without(fourth)).toEqual({ miscommitted: 1 });
  });

  test('one that was executed twice counts, under new ids and under the same', () => {
    const again = { ...event(0, 0), place: undefined };
    const all = [...events, again];
    expect(counted({ paid: all, seen: all, ledger: all })).toEqual({ miscommitted: 1 });
    expect(counted({ paid: [...events, { ...first, place: undefined }] })).toEqual({ miscommitted: 1 });
  });

  test('one that nobody has answered counts, but not for what it may have committed', () => {
    expect(counted({ answered: new Set([1, 2, 3]) })).toEqual({ unanswered: 1 });
    const rest = [second, third, fourth];
    expect(counted({ answered: new Set([1, 2, 3]), paid: rest, seen: rest, ledger: rest })).toEqual({
      unanswered: 1,
    });
  });

  test('one that was never heard of as begun need not be answered', () => {
    const begun = new Set([0, 1, 2]);
    const answered = new Set([0, 1, 2]);
    expect(counted({ begun, answered })).toEqual({});
  });
});

test('what is left over counts: in the outbox, dead, at the broker, and complaints', () => {
  const left = { inOutbox: 2, deadEvents: ['one'], deadMessages: ['one', 'two'], atBroker: 3 };
  expect(counted({ ...left, complaints: ['call 1 was answered differently'] })).toEqual({
    leftInOutbox: 2,
    deadEvents: 1,
    deadMessages: 2,
    leftAtBroker: 3,
    complaints: 1,
  });
});
