/** One run: calls under faults, then a drain without, then the judgement. */

import { setTimeout as pause } from 'node:timers/promises';
import type { BrokerName } from './brokers/broker.ts';
import { startFaults } from './faults.ts';
import type { FaultCounts } from './faults.ts';
import { judge } from './judge.ts';
import type { Verdict } from './judge.ts';
import { planCall } from './plan-call.ts';
import { openStage } from './stage.ts';
import type { Stage } from './stage.ts';
import { countRows, readBooks } from './tables.ts';

export interface ChaosOptions {
  readonly broker: BrokerName;
  readonly seed: number;
  /** For how long calls are made, at most. */
  readonly seconds: number;
  /** How many, at most. */
  readonly mutations: number;
  /** Told every few seconds how it goes. */
  readonly tell: (line: string) => void;
}

export interface ChaosResult {
  /** Calls that were answered. */
  readonly operations: number;
  /** Events that were committed. */
  readonly events: number;
  /** Events that were handed to the broker, repetitions included. */
  readonly publications: number;
  /** Messages that consumers got, repetitions included. */
  readonly deliveries: number;
  /** The most that were in the outbox at a look. */
  readonly mostInOutbox: number;
  readonly faults: FaultCounts;
  readonly verdict: Verdict;
  readonly callSeconds: number;
  readonly drainSeconds: number;
}

const TELL_MS = 5000;
const LOOK_MS = 500;
/** It drains for so long at most, in milliseconds, and gives up where nothing has happened for a while. */
export const DRAIN_MS = 900_000;
export const STALL_MS = 60_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const stage = await openStage(options);
  try {
    return await run(stage, options);
  } finally {
    await stage.close();
  }
}

async function run(stage: Stage, { seed, seconds, mutations, tell }: ChaosOptions): Promise<ChaosResult> {
  const { calls, workers, database } = stage;
  const beganMs = performance.now();
  const elapsed = (): number => (performance.now() - beganMs) / 1000;
  const progress = (): number => Math.max(elapsed() / seconds, calls.answered.size / mutations);
  const faults = startFaults(stage, seed, progress);
  const total = (): number => Object.values(faults.counts).reduce((sum: number, one: number) => sum + one, 0);
  let mostInOutbox = 0;

  async function look(): Promise<string> {
    const { inOutbox, paid, ledger } = await countRows(database);
    mostInOutbox = Math.max(mostInOutbox, inOutbox);
    return `${Math.round(elapsed())} s: ${calls.answered.size} calls, ${paid} events, ${inOutbox} in the outbox, ${ledger} in the ledger, ${total()} faults`;
  }

  const teller = setInterval(() => void look().then(tell), TELL_MS);
  try {
    const enough = new AbortController();
    await Promise.race([
      stage.allCalled,
      pause(seconds * 1000, undefined, { signal: enough.signal }).catch(() => {}),
    ]);
    enough.abort();
    await faults.stop();
    for (const mutator of workers.mutator) await mutator.end();
    const callSeconds = elapsed();
    tell(`${await look()}; draining`);
    const atBroker = await drain(stage);
    for (const relay of workers.relay) await relay.end();
    const drainSeconds = elapsed() - callSeconds;
    tell(`${await look()}; judging`);

    const books = await readBooks(database);
    const seen = stage.seen();
    const publications = stage.publications();
    const last = Math.max(...calls.begun, ...new Set(books.paid.map(({ call }) => call)), -1);
    const { begun, answered, complaints } = calls;
    const planned = Array.from({ length: last + 1 }, (_, index) => planCall(seed, index));
    const evidence = { ...books, seen, publications, calls: planned, begun, answered, complaints, atBroker };
    return {
      operations: answered.size,
      events: books.paid.length,
      publications: publications.filter(({ what }) => what === 'begun').length,
      deliveries: seen.length,
      mostInOutbox,
      faults: faults.counts,
      verdict: judge(evidence),
      callSeconds,
      drainSeconds,
    };
  } finally {
    clearInterval(teller);
  }
}

/** Waits until everything has arrived. Returns how many messages the broker is left with; no consumer runs then. */
async function drain({ database, broker, workers }: Stage): Promise<number> {
  const deadlineMs = performance.now() + DRAIN_MS;
  let before = '';
  let changedMs = performance.now();
  const isOver = (): boolean => performance.now() > deadlineMs || performance.now() > changedMs + STALL_MS;
  const isDone = async (backlog: number): Promise<boolean> => {
    const { inOutbox, paid, ledger } = await countRows(database);
    const now = `${inOutbox} ${ledger} ${backlog}`;
    if (now !== before) changedMs = performance.now();
    before = now;
    return inOutbox === 0 && ledger >= paid;
  };
  for (;;) {
    while (!(await isDone(0)) && !isOver()) await pause(LOOK_MS);
    for (const ledger of workers.ledger) await ledger.end();
    const backlog = await broker.backlog();
    if (backlog === 0 || isOver()) return backlog;
    // Repetitions of what is in the ledger: they must not get in.
    for (const ledger of workers.ledger) ledger.start();
    await pause(4 * LOOK_MS);
    await isDone(backlog);
  }
}
