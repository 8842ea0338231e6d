/** What the processes of a run are told when they start. */

import { deferred } from '../../support/signal.ts';
import type { BrokerName } from './brokers/broker.ts';

export interface ProcessSettings {
  readonly seed: number;
  readonly databaseUrl: string;
  readonly broker: BrokerName;
  readonly brokerUrl: string;
  /** Files that outlive the process. */
  readonly journals: { readonly seen: string; readonly publications: string };
  /** Which calls the mutator makes. */
  readonly calls: CallRange;
}

export interface CallRange {
  readonly from: number;
  /** The first that is not made any more. */
  readonly until: number;
  /** Behind the last that an earlier process has begun. */
  readonly begunBefore: number;
  /** Those among them that were answered. */
  readonly answered: readonly number[];
}

/** What the processes say: all of them that they are ready, and the mutator what became of calls. */
export interface ProcessReport {
  readonly ready?: true;
  readonly begun?: number;
  readonly answered?: number;
  readonly complaint?: string;
}

/** How long a relay's claim lives: short, so that what a killed relay held is soon published by another. */
export const LEASE_MS = 2500;
/**
 * What befalls an event or a message here is never its own fault, so that none may be put aside, however often it was
 * there when a process was killed or the broker was away.
 */
export const PATIENT = { maxAttempts: 10_000, crashLimit: 1000 } as const;

/** Says that this process is at work. */
export function tellReady(): void {
  process.send!({ ready: true } satisfies ProcessReport);
}

/** Waits for what this process is told: at first its settings, and then to end. It does not outlive who tells it. */
export async function receiveOrders(): Promise<ProcessSettings & { readonly ended: Promise<void> }> {
  const settings = deferred<ProcessSettings>();
  const ended = deferred();
  // One listener for both, because both may be there already, and come one right after the other.
  process.on('message', (order: ProcessSettings | 'end') => {
    if (order === 'end') ended.resolve();
    else settings.resolve(order);
  });
  process.once('disconnect', () => process.exit());
  return { ...(await settings.promise), ended: ended.promise };
}
