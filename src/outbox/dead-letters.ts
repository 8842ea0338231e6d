/** What an operator sees of events that could not be published, and does with them. */

import type { DeadLetterFilter, DeadRow, OutboxStore } from '../store/outbox-port.ts';
import { outboxEventOf } from './publish-batch.ts';
import type { OutboxEvent } from './publisher.ts';

/** An event that no relay publishes any more by itself. */
export interface DeadLetter extends Omit<OutboxEvent, 'attempt'> {
  /** Where it stands in the outbox: `deadLetters({ after })` goes on behind it. */
  readonly position: string;
  readonly diedAt: Date;
  /** How often publishing it has failed. */
  readonly failures: number;
  /** How many relays died while they were publishing it. */
  readonly crashes: number;
  readonly lastError: string;
}

export interface DeadLetterQuery {
  readonly topic?: string | undefined;
  /** The position of the last one that was seen. */
  readonly after?: string | undefined;
  /** @defaultValue 100 */
  readonly limit?: number | undefined;
}

/** Which dead letters: their ids, those of a topic, or all with `{}`. */
export type DeadLetterChoice = readonly string[] | { readonly topic?: string | undefined };

const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Short of the largest bigint, and beyond any position. */
const POSITION = /^\d{1,18}$/;

/** @throws TypeError for what is no query. */
export async function listDeadLetters(
  store: OutboxStore,
  { topic, after, limit = 100 }: DeadLetterQuery,
): Promise<readonly DeadLetter[]> {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new TypeError('deadLetters({ limit }) expects a whole number of at least 1.');
  }
  if (after !== undefined && !(typeof after === 'string' && POSITION.test(after))) {
    throw new TypeError('deadLetters({ after }) expects the position of a dead letter.');
  }
  return (await store.deadEvents({ topic, after, limit })).map(deadLetterOf);
}

/** @throws TypeError for what is no choice: in doubt, nothing is chosen. */
export function filterOf(choice: DeadLetterChoice): DeadLetterFilter {
  if (Array.isArray(choice)) {
    if (choice.every((id: unknown) => typeof id === 'string' && ID.test(id)))
      return { ids: [...choice] as string[] };
    throw new TypeError('Dead letters are chosen by their ids, which are UUIDs.');
  }
  if (typeof choice === 'object' && choice !== null) {
    const { topic, ...unknown } = choice as { readonly topic?: string | undefined };
    // A variable that is not set is not a wish for all of them.
    const isMeant = 'topic' in choice ? typeof topic === 'string' && topic !== '' : true;
    if (isMeant && Object.keys(unknown).length === 0) return { topic };
  }
  throw new TypeError('Dead letters are chosen by a list of ids, or by { topic }, or all by {}.');
}

function deadLetterOf(row: DeadRow): DeadLetter {
  const { attempt: _, ...event } = outboxEventOf(row);
  const { position, failures, crashes, lastError } = row;
  return { ...event, position, diedAt: new Date(row.diedMs), failures, crashes, lastError };
}
