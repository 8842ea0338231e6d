/** Does to the processes and to the broker what the seed says, until it is told to stop. */

import { setTimeout as pause } from 'node:timers/promises';
import { brokerRestarts, processFaults } from './plan-faults.ts';
import type { BrokerRestart, ProcessFault } from './plan-faults.ts';
import { LEASE_MS } from './settings.ts';
import type { Stage } from './stage.ts';

/** How often what was done. */
export interface FaultCounts {
  relaysKilled: number;
  ledgersKilled: number;
  mutatorsKilled: number;
  relaysFrozen: number;
  ledgersFrozen: number;
  brokerKilled: number;
  brokerStopped: number;
}

export interface Faults {
  readonly counts: Readonly<FaultCounts>;
  /** Resolves when all processes run again. @throws what has kept one from that. */
  stop(): Promise<void>;
}

const LOOK_MS = 100;

/** `progress` says which share of the run is over. */
export function startFaults(stage: Stage, seed: number, progress: () => number): Faults {
  const counts: FaultCounts = {
    relaysKilled: 0,
    ledgersKilled: 0,
    mutatorsKilled: 0,
    relaysFrozen: 0,
    ledgersFrozen: 0,
    brokerKilled: 0,
    brokerStopped: 0,
  };
  const stopping = new AbortController();
  const freezes: Promise<void>[] = [];
  const wait = (ms: number): Promise<void> =>
    pause(ms, undefined, { signal: stopping.signal }).catch(() => {});

  async function hurtProcesses(): Promise<void> {
    for (const fault of processFaults(seed, LEASE_MS)) {
      await wait(fault.afterMs);
      if (stopping.signal.aborted) return;
      await hurt(fault);
    }
  }

  async function hurt({ role, which, frozenMs }: ProcessFault): Promise<void> {
    const workers = stage.workers[role];
    const worker = workers[which % workers.length]!;
    if (frozenMs === undefined) {
      counts[`${role}sKilled`] += 1;
      return worker.kill();
    }
    if (role !== 'mutator') counts[`${role}sFrozen`] += 1;
    freezes.push(worker.freeze(frozenMs));
  }

  async function restartBroker(): Promise<void> {
    for (const { at, how, awayMs } of brokerRestarts(seed)) {
      while (progress() < at && !stopping.signal.aborted) await wait(LOOK_MS);
      if (stopping.signal.aborted) return;
      await restart(how, awayMs);
    }
  }

  async function restart(how: BrokerRestart['how'], awayMs: number): Promise<void> {
    await stage.broker.end(how);
    await wait(awayMs);
    await stage.broker.restart();
    counts[how === 'kill' ? 'brokerKilled' : 'brokerStopped'] += 1;
  }

  const running = Promise.all([hurtProcesses(), restartBroker()]);
  running.catch(() => {});
  return {
    counts,
    async stop() {
      stopping.abort();
      await running;
      await Promise.all(freezes);
    },
  };
}
