/** Counts broken promises, from what was read when a run was over. Knows no database and no broker. */

import type { Publication, Seen } from './journal.ts';
import { committedEvents } from './plan-call.ts';
import type { PlannedCall } from './plan-call.ts';

/** An event that was committed, as the row says that was written with it. */
export interface PaidEvent extends Seen {
  readonly call: number;
  /** Its place among the events of its key, from 0; `undefined` without a key. Rolled back calls leave no gap. */
  readonly place: { readonly orderingKey: string; readonly number: number } | undefined;
}

/** What is left of a run. */
export interface Evidence {
  /** All calls that may have been begun. */
  readonly calls: readonly PlannedCall[];
  /** Those of which it is known, by their numbers. */
  readonly begun: ReadonlySet<number>;
  /** Those that were answered, by their numbers. */
  readonly answered: ReadonlySet<number>;
  /** Answers that were not as promised, and processes that ended by themselves. */
  readonly complaints: readonly string[];
  readonly paid: readonly PaidEvent[];
  /** In the order in which they came. */
  readonly seen: readonly Seen[];
  /** In the order in which they happened. */
  readonly publications: readonly Publication[];
  readonly ledger: readonly Seen[];
  /** Events in the outbox that are not dead. */
  readonly inOutbox: number;
  readonly deadEvents: readonly string[];
  readonly deadMessages: readonly string[];
  /** Messages that the broker still wants to deliver. */
  readonly atBroker: number;
}

/** What can be broken, and how often it was. */
export interface Violations {
  /** Calls that nobody has answered. */
  unanswered: number;
  /** Calls that committed other than they were to: not at all, twice, or although they were rolled back. */
  miscommitted: number;
  /** Answers that were not as promised, and processes that ended by themselves. */
  complaints: number;
  /** Committed events that no consumer has seen. */
  missing: number;
  /** Events that consumers have seen and that nobody has committed, or that have another execution's payload. */
  foreign: number;
  /** Committed events that are not in the ledger. */
  unbooked: number;
  /** Rows of the ledger beyond the first of their event. */
  doubled: number;
  /** Rows of the ledger for what nobody has committed. */
  misbooked: number;
  /** Events that were handed to the broker for the first time before it had confirmed an earlier one of their key. */
  disordered: number;
  leftInOutbox: number;
  deadEvents: number;
  deadMessages: number;
  leftAtBroker: number;
}

export interface Verdict {
  readonly violations: Violations;
  readonly total: number;
  /** A few of each kind. */
  readonly examples: readonly string[];
}

const MOST_EXAMPLES = 5;

export function judge(evidence: Evidence): Verdict {
  const { calls, begun, answered, complaints, paid, seen, ledger, deadEvents, deadMessages } = evidence;
  const examples: string[] = [];
  const count = (what: string, broken: readonly string[]): number => {
    examples.push(...broken.slice(0, MOST_EXAMPLES).map((one) => `${what}: ${one}`));
    return broken.length;
  };
  const executions = new Map(paid.map(({ eventId, execution }) => [eventId, execution]));
  const isCommitted = ({ eventId, execution }: Seen): boolean => executions.get(eventId) === execution;
  const ids = (all: readonly Seen[]): Set<string> => new Set(all.map(({ eventId }) => eventId));
  const without = (found: ReadonlySet<string>): string[] =>
    [...executions.keys()].filter((eventId) => !found.has(eventId));
  const violations: Violations = {
    unanswered: count(
      'unanswered',
      calls.filter(({ index }) => begun.has(index) && !answered.has(index)).map(nameOf),
    ),
    miscommitted: count('committed other than planned', miscommitted(calls, answered, paid)),
    complaints: count('complaint', complaints),
    missing: count('missing', without(ids(seen.filter(isCommitted)))),
    foreign: count('foreign', [...ids(seen.filter((one) => !isCommitted(one)))]),
    unbooked: count('not in the ledger', without(ids(ledger))),
    doubled: count('doubled in the ledger', repeated(ledger)),
    misbooked: count(
      'in the ledger, but not committed',
      ledger.filter((one) => !isCommitted(one)).map(({ eventId }) => eventId),
    ),
    disordered: count('out of order', disordered(paid, evidence.publications)),
    leftInOutbox: evidence.inOutbox,
    deadEvents: count('dead event', deadEvents),
    deadMessages: count('dead message', deadMessages),
    leftAtBroker: evidence.atBroker,
  };
  const total = Object.values(violations).reduce((sum: number, one: number) => sum + one, 0);
  return { violations, total, examples };
}

const nameOf = ({ index, kind }: PlannedCall): string => `call ${index} (${kind})`;

/** A call that was not answered may or may not have committed, but not in part, and not against its plan. */
function miscommitted(
  calls: readonly PlannedCall[],
  answered: ReadonlySet<number>,
  paid: readonly PaidEvent[],
): string[] {
  const byCall = grouped(paid, ({ call }) => call);
  const planned = new Set(calls.map(({ index }) => index));
  const unplanned = [...byCall.keys()].filter((call) => !planned.has(call)).map((call) => `call ${call}`);
  const wrong = calls.filter((call) => {
    const events = byCall.get(call.index) ?? [];
    if (events.length === 0 && !answered.has(call.index)) return false;
    const distinct = new Set(events.map(({ eventId }) => eventId)).size;
    const executions = new Set(events.map(({ execution }) => execution)).size;
    const expected = committedEvents(call);
    return events.length !== expected || distinct !== expected || executions > 1;
  });
  return [...unplanned, ...wrong.map(nameOf)];
}

/** The id of each row beyond the first of its id. */
function repeated(rows: readonly Seen[]): string[] {
  const met = new Set<string>();
  return rows.map(({ eventId }) => eventId).filter((eventId) => met.has(eventId) || !met.add(eventId));
}

/**
 * A relay that publishes an event can only have claimed it after the one before it was gone from the outbox, and so
 * after its confirmation was noted. Where that note is missing, its relay died before it could remove the event, and
 * another has published it once more: so every event must find a note of the one before it.
 */
function disordered(paid: readonly PaidEvent[], publications: readonly Publication[]): string[] {
  const lanes = grouped(
    paid.filter(({ place }) => place !== undefined),
    ({ place }) => place!.orderingKey,
  );
  const positions = new Map<string, { readonly lane: Lane; readonly at: number }>();
  for (const events of lanes.values()) {
    const lane: Lane = { confirmed: events.map(() => false), front: 0 };
    const inOrder = events.toSorted((one, other) => one.place!.number - other.place!.number);
    for (const [at, { eventId }] of inOrder.entries()) positions.set(eventId, { lane, at });
  }
  const judged = new Set<string>();
  const wrong: string[] = [];
  for (const { what, eventId } of publications) {
    const position = positions.get(eventId);
    if (position === undefined) continue;
    const { lane, at } = position;
    if (what === 'confirmed') {
      lane.confirmed[at] = true;
      while (lane.confirmed[lane.front] === true) lane.front += 1;
    } else if (!judged.has(eventId)) {
      judged.add(eventId);
      if (at > lane.front) wrong.push(eventId);
    }
  }
  return wrong;
}

/** The events of a key. */
interface Lane {
  readonly confirmed: boolean[];
  /** All before this one are confirmed. */
  front: number;
}

function grouped<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
