/** What each guarded call of a run does: chosen by the seed and the call's number, and by nothing else. */

import { choicesFor } from './random.ts';

/**
 * How a call ends. `undone-savepoint`: commits, without an event that was added behind a savepoint. `second-try`:
 * throws the first time, and commits when it is sent again. The other three are rolled back: `thrown` by an error that
 * is forgotten, `final` by one that is kept, `swallowed` by an SQL error that nobody hears of.
 */
export type CallKind = 'plain' | 'undone-savepoint' | 'second-try' | 'thrown' | 'final' | 'swallowed';

export interface PlannedCall {
  readonly index: number;
  readonly kind: CallKind;
  /** The key of the order of its events; `undefined`: in any order. */
  readonly orderingKey: string | undefined;
  /** The topic of each event. */
  readonly topics: readonly string[];
  /** Where it goes wrong: after so many events, or after the payments as well where it is one more than there are. */
  readonly failsAfter: number;
  /** Whether it is sent a second time, which must be answered like the first. */
  readonly repeated: 'never' | 'afterwards' | 'at-once';
}

export const TOPICS = ['payment.captured', 'payment.settled'] as const;
/** So many that calls seldom wait for each other, and so few that events of one key meet in the outbox. */
export const ORDERING_KEYS: readonly string[] = Array.from({ length: 100 }, (_, at) => `account-${at}`);

/** A fifth is rolled back. */
const KINDS: readonly (readonly [kind: CallKind, share: number])[] = [
  ['thrown', 0.08],
  ['final', 0.06],
  ['swallowed', 0.06],
  ['undone-savepoint', 0.05],
  ['second-try', 0.03],
];

export function planCall(seed: number, index: number): PlannedCall {
  const choices = choicesFor(seed, `call ${index}`);
  const kind = kindOf(choices.share());
  const count = choices.pick([1, 1, 1, 1, 1, 1, 2, 2, 2, 3]);
  const isKept = kind === 'plain' || kind === 'undone-savepoint' || kind === 'final';
  return {
    index,
    kind,
    orderingKey: choices.share() < 0.5 ? choices.pick(ORDERING_KEYS) : undefined,
    topics: Array.from({ length: count }, () => choices.pick(TOPICS)),
    failsAfter: 1 + choices.below(count + 1),
    repeated: isKept ? choices.pick([...NEVER, 'afterwards', 'at-once']) : 'never',
  };
}

/** How many events it leaves behind. */
export function committedEvents({ kind, topics }: PlannedCall): number {
  switch (kind) {
    case 'plain':
    case 'undone-savepoint':
    case 'second-try':
      return topics.length;
    case 'thrown':
    case 'final':
    case 'swallowed':
      return 0;
  }
}

const NEVER: readonly PlannedCall['repeated'][] = Array.from({ length: 18 }, () => 'never');

function kindOf(share: number): CallKind {
  let rest = share;
  for (const [kind, part] of KINDS) {
    if (rest < part) return kind;
    rest -= part;
  }
  return 'plain';
}
