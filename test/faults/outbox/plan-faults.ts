/** Which faults a run has, and when: chosen by the seed. */

import { choicesFor } from './random.ts';

export type Role = 'relay' | 'ledger' | 'mutator';

/** Something that is done to a process. */
export interface ProcessFault {
  /** How long it is waited for after the one before, in milliseconds. */
  readonly afterMs: number;
  readonly role: Role;
  /** Which of the processes of that role: its number, modulo how many there are. */
  readonly which: number;
  /** For how long it is stopped, in milliseconds; `undefined`: it is killed, and started again. */
  readonly frozenMs: number | undefined;
}

export interface BrokerRestart {
  /** When: a share of the run. */
  readonly at: number;
  readonly how: 'kill' | 'stop';
  /** How long it is away, besides the time that it takes to start, in milliseconds. */
  readonly awayMs: number;
}

/** Dealt by turns, so that a short run has some of each. */
const DECK: readonly (readonly [role: Role, what: 'kill' | 'freeze'])[] = [
  ['relay', 'kill'],
  ['ledger', 'kill'],
  ['relay', 'kill'],
  ['ledger', 'kill'],
  ['relay', 'kill'],
  ['ledger', 'kill'],
  ['relay', 'freeze'],
  ['ledger', 'freeze'],
  ['mutator', 'kill'],
];

/** The faults of processes, without an end. A frozen process is so for longer than `leaseMs`. */
export function* processFaults(seed: number, leaseMs: number): Generator<ProcessFault, never> {
  const choices = choicesFor(seed, 'faults');
  for (;;) {
    for (const [role, what] of choices.shuffle(DECK)) {
      yield {
        afterMs: 1500 + choices.below(2000),
        role,
        which: choices.below(1000),
        frozenMs: what === 'freeze' ? leaseMs + 500 + choices.below(2000) : undefined,
      };
    }
  }
}

/** Two restarts, at least one of them by kill -9. */
export function brokerRestarts(seed: number): readonly [BrokerRestart, BrokerRestart] {
  const choices = choicesFor(seed, 'restarts');
  const killedFirst = choices.share() < 0.5;
  const alsoKilled = choices.share() < 0.5;
  const how = (isKilled: boolean): BrokerRestart['how'] => (isKilled || alsoKilled ? 'kill' : 'stop');
  const awayMs = (): number => 300 + choices.below(2000);
  return [
    { at: 0.2 + choices.share() * 0.2, how: how(killedFirst), awayMs: awayMs() },
    { at: 0.55 + choices.share() * 0.2, how: how(!killedFirst), awayMs: awayMs() },
  ];
}
