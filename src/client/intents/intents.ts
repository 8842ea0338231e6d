/** Intents that outlive the page: what was asked, and under which key, until there is an answer. */

import { newKey as randomKey } from '../engine/new-key.ts';
import { OutcomeUnknownError } from '../engine/outcome-unknown-error.ts';
import { parseJson } from '../engine/parse-json.ts';
import { announcedKeys } from './announced-keys.ts';
import { asIntentStorage } from './storage.ts';
import type { IntentStorage, WebStorage } from './storage.ts';

/** A mutation that was begun, and whose outcome is not known yet. */
export interface Intent {
  readonly key: string;
  /** What the caller calls it, such as a cart's id; one intent of a name is open at a time. */
  readonly name?: string | undefined;
  /** When it was begun, in milliseconds since 1970. */
  readonly startedAt: number;
  /** What is needed to send it again, as JSON; its form is that of the client that stored it. */
  readonly request: unknown;
}

export interface IntentsOptions {
  /** `localStorage`, `sessionStorage`, or a place of your own. */
  readonly storage: IntentStorage | WebStorage;
  /** What the ids of stored intents begin with. @defaultValue "idempotency:" */
  readonly prefix?: string;
  /**
   * How long the server remembers a key: its `ttl`, in milliseconds. An intent that is nine tenths as old is not
   * sent again.
   *
   * @defaultValue 86400000
   */
  readonly keyRetentionMs?: number;
  /** Makes a key. @defaultValue a random UUID */
  readonly newKey?: () => string;
  /**
   * Told when an intent can't be stored. It is sent nevertheless, and doesn't outlive the page; throw to have
   * nothing sent.
   *
   * @defaultValue a warning on the console
   */
  readonly onStorageError?: (error: unknown) => void;
}

/** What became of an intent that was sent again. */
export type Resumed<Answer> =
  | { readonly kind: 'answered'; readonly intent: Intent; readonly answer: Answer }
  /** It ended in an error that settles it. */
  | { readonly kind: 'failed'; readonly intent: Intent; readonly error: unknown }
  /** Still unknown, and still stored: an `OutcomeUnknownError` says why. */
  | { readonly kind: 'unknown'; readonly intent: Intent; readonly error: OutcomeUnknownError }
  /** Too old to be sent again; stored until it is settled. */
  | { readonly kind: 'expired'; readonly intent: Intent };

/** How an intent begins. */
export interface Beginning {
  readonly name?: string | undefined;
  /** A key that it has already. */
  readonly key?: string | undefined;
  readonly request: unknown;
  /** When it was begun, for one that is stored again. @defaultValue now */
  readonly startedAt?: number;
}

export interface Begun {
  readonly intent: Intent;
  /** Whether it was open already, and may have been sent. */
  readonly sentBefore: boolean;
}

export interface Intents {
  /**
   * Stores an intent, or finds the open one of that name or key.
   *
   * @throws OutcomeUnknownError where the open one of that name or key is too old to be sent again.
   */
  begin(beginning: Beginning): Promise<Begun>;
  /** Forgets an intent: its outcome is known, or somebody looked and decided. */
  settle(key: string): Promise<void>;
  /** The open intents, oldest first. */
  open(): Promise<readonly Intent[]>;
  /** Sends every open intent again, one after another, by `send`; `OutcomeUnknownError` keeps one open. */
  resume<Answer>(send: (intent: Intent) => Promise<Answer>): Promise<readonly Resumed<Answer>[]>;
}

interface Locks {
  request<Result>(name: string, work: () => Promise<Result>): Promise<Result>;
}

/**
 * Keeps intents in a storage from before they are sent until they are answered.
 *
 * @example
 * ```ts
 * const intents = createIntents({ storage: localStorage });
 * ```
 */
export function createIntents({
  storage,
  prefix = 'idempotency:',
  keyRetentionMs = 86_400_000,
  newKey = randomKey,
  onStorageError = (error) => console.warn('The intent could not be stored.', error),
}: IntentsOptions): Intents {
  const items = asIntentStorage(storage);
  const announced = announcedKeys(prefix);

  // Not to the last minute: retries take a while, and a key that is forgotten meanwhile executes again.
  const isExpired = ({ startedAt }: Intent): boolean => Date.now() - startedAt >= keyRetentionMs * 0.9;

  async function open(): Promise<readonly Intent[]> {
    const found: Intent[] = [];
    for (const id of await items.ids()) {
      if (!id.startsWith(prefix)) continue;
      const intent = readIntent(await items.get(id));
      // Of a longer prefix it may be another user's.
      if (id === prefix + intent?.key) found.push(intent!);
    }
    return found.sort((one, other) => one.startedAt - other.startedAt);
  }

  async function beginAlone({ name, key, request, startedAt = Date.now() }: Beginning): Promise<Begun> {
    // A key of the caller's own is what will be sent: the name must not find another one for it.
    const asked = (one: Pick<Intent, 'key' | 'name'>): boolean =>
      key === undefined ? one.name === name : one.key === key;
    const isFresh = name === undefined && key === undefined;
    const stored = isFresh ? undefined : (await open()).find(asked);
    const found = stored ?? (isFresh ? undefined : await announced.find(asked));
    const intent = stored ?? { key: key ?? newKey(), name, startedAt, ...found, request };
    if (isExpired(intent)) throw new OutcomeUnknownError({ key: intent.key, reason: 'expired', attempts: 0 });
    // What another tab has begun is stored here as well: its storage may be another one, and go with it.
    if (stored === undefined) {
      try {
        await items.set(prefix + intent.key, JSON.stringify(intent));
      } catch (error) {
        onStorageError(error);
      }
    }
    if (name !== undefined && found === undefined) await announced.announce(intent);
    return { intent, sentBefore: found !== undefined };
  }

  async function settle(key: string): Promise<void> {
    // The answer is there, and nothing about the storage may keep it from the caller.
    try {
      await announced.withdraw(key);
      await items.remove(prefix + key);
    } catch (error) {
      console.warn('The intent could not be removed.', error);
    }
  }

  async function resumeOne<Answer>(
    intent: Intent,
    send: (intent: Intent) => Promise<Answer>,
  ): Promise<Resumed<Answer>> {
    if (isExpired(intent)) return { kind: 'expired', intent };
    const resumed = await outcomeOf(intent, send);
    if (resumed.kind !== 'unknown') await settle(intent.key);
    return resumed;
  }

  return {
    open,
    // Two tabs that look for the same name at once would both find nothing, and each make a key of its own.
    begin: (beginning) => alone(`${prefix}begin`, () => beginAlone(beginning)),
    settle,
    async resume(send) {
      const resumed = [];
      for (const intent of await open()) resumed.push(await resumeOne(intent, send));
      return resumed;
    },
  };
}

async function outcomeOf<Answer>(
  intent: Intent,
  send: (intent: Intent) => Promise<Answer>,
): Promise<Resumed<Answer>> {
  try {
    return { kind: 'answered', intent, answer: await send(intent) };
  } catch (error) {
    if (error instanceof OutcomeUnknownError) return { kind: 'unknown', intent, error };
    return { kind: 'failed', intent, error };
  }
}

const queues = new Map<string, Promise<unknown>>();

/** One after another, across tabs where the browser has locks, and within this page in any case. */
async function alone<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  const { locks } = (globalThis as { navigator?: { locks?: Locks | null } }).navigator ?? {};
  if (locks) return locks.request(name, work);
  const turn = (queues.get(name) ?? Promise.resolve()).then(work);
  queues.set(
    name,
    turn.catch(() => undefined),
  );
  return turn;
}

/** What somebody else wrote under our prefix, or only half of it, is no intent. */
function readIntent(text: string | null | undefined): Intent | undefined {
  const intent = parseJson(text ?? '') as Intent | null | undefined;
  return typeof intent?.key === 'string' && typeof intent.startedAt === 'number' ? intent : undefined;
}
