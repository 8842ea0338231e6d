/** What an operator sees of messages that could not be handled, and does with them. */

import { decode } from '../record/codec.ts';
import type { DeadMessageFilter, DeadMessageRow, InboxStore } from '../store/inbox-port.ts';

/** A message as its handler got it: what `process` takes, and nothing else. */
export interface RedrivenMessage {
  readonly consumer: string;
  readonly messageId: string;
  readonly topic: string | undefined;
  readonly key: string | undefined;
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly deliveries: 1;
}

/** A message that is not handled any more. */
export interface DeadMessage extends RedrivenMessage {
  /** What logs and telemetry show: the primary key of its record, in hexadecimal. */
  readonly identity: string;
  /** Where it stands: `deadLetters({ after })` goes on behind it. */
  readonly position: string;
  readonly firstFailedAt: Date;
  readonly diedAt: Date;
  /** How often handling it has failed. */
  readonly failures: number;
  /** How many consumers died while they were handling it. */
  readonly crashes: number;
  readonly lastError: string;
}

export interface DeadMessageQuery {
  readonly consumer?: string | undefined;
  /** The position of the last one that was seen. */
  readonly after?: string | undefined;
  /** @defaultValue 100 */
  readonly limit?: number | undefined;
}

/** Which dead letters: their identities, those of a consumer, or all with `{}`. */
export type DeadMessageChoice = readonly string[] | { readonly consumer?: string | undefined };

/** What a redrive has done. */
export interface RedriveTotals {
  readonly handled: number;
  /** They are dead letters still. */
  readonly failed: number;
}

const IDENTITY = /^[0-9a-f]{64}$/i;
/** Short of the largest bigint, and beyond any position. */
const POSITION = /^\d{1,18}$/;
/** Few, because each may be large, and all of them are in memory at once. */
const PAGE = 10;

/** @throws TypeError for what is no query. */
export async function listDeadMessages(
  store: InboxStore,
  { consumer, after, limit = 100 }: DeadMessageQuery,
): Promise<readonly DeadMessage[]> {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new TypeError('deadLetters({ limit }) expects a whole number of at least 1.');
  }
  if (after !== undefined && !(typeof after === 'string' && POSITION.test(after))) {
    throw new TypeError('deadLetters({ after }) expects the position of a dead letter.');
  }
  if (consumer !== undefined && !isConsumer(consumer)) {
    throw new TypeError('deadLetters({ consumer }) expects the name of a consumer.');
  }
  return (await store.dead({ filter: { consumer }, after, limit })).map(deadMessageOf);
}

/**
 * Hands the dead letters over, one after the other. Whether one was handled, the store says, not the function: one that
 * forgets to return what `process` has said, or that catches its error, must not make a dead letter disappear.
 */
export async function redriveMessages(
  store: InboxStore,
  choice: DeadMessageChoice,
  handle: (message: RedrivenMessage) => unknown,
): Promise<RedriveTotals> {
  const filter = filterOf(choice);
  if (typeof handle !== 'function')
    throw new TypeError('redrive() expects a function as its second argument.');
  const totals = { handled: 0, failed: 0 };
  let after: string | undefined;
  for (;;) {
    const rows = await store.dead({ filter, after, limit: PAGE });
    for (const row of rows) {
      totals[(await handled(store, handle, row)) ? 'handled' : 'failed'] += 1;
    }
    if (rows.length < PAGE) return totals;
    after = rows.at(-1)!.position;
  }
}

/** @throws TypeError for what is no choice: in doubt, nothing is chosen. */
export function filterOf(choice: DeadMessageChoice): DeadMessageFilter {
  if (Array.isArray(choice)) {
    if (choice.every((id: unknown) => typeof id === 'string' && IDENTITY.test(id)))
      return { identities: choice.map((id: string) => Buffer.from(id, 'hex')) };
    throw new TypeError(
      'Dead letters of the inbox are chosen by their identities, of 64 hexadecimal digits.',
    );
  }
  if (typeof choice === 'object' && choice !== null) {
    const { consumer, ...unknown } = choice as { readonly consumer?: string | undefined };
    // A variable that is not set is not a wish for all of them.
    const isMeant = 'consumer' in choice ? isConsumer(consumer) : true;
    if (isMeant && Object.keys(unknown).length === 0) return { consumer };
  }
  throw new TypeError(
    'Dead letters of the inbox are chosen by a list of identities, or by { consumer }, or all by {}.',
  );
}

function isConsumer(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\u0000');
}

/** Its error is noted with the message, where it is one of its handler's; the others still get their turn. */
async function handled(
  store: InboxStore,
  handle: (message: RedrivenMessage) => unknown,
  row: DeadMessageRow,
): Promise<boolean> {
  try {
    await handle(redrivenMessageOf(row));
  } catch {
    return false;
  }
  const filter = { identities: [row.identity] };
  return (await store.dead({ filter, after: undefined, limit: 1 })).length === 0;
}

function redrivenMessageOf({ consumer, body }: DeadMessageRow): RedrivenMessage {
  const kept = decode(body) as Pick<RedrivenMessage, 'messageId' | 'topic' | 'key' | 'headers' | 'payload'>;
  const { messageId, topic, key, headers, payload } = kept;
  return { consumer, messageId, topic, key, payload, headers, deliveries: 1 };
}

function deadMessageOf(row: DeadMessageRow): DeadMessage {
  return {
    ...redrivenMessageOf(row),
    identity: row.identity.toString('hex'),
    position: row.position,
    firstFailedAt: new Date(row.firstMs),
    diedAt: new Date(row.diedMs),
    failures: row.failures,
    crashes: row.crashes,
    lastError: row.lastError,
  };
}
