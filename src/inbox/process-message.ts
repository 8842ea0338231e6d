/** One delivery of a message: handles it once, or says what became of it. */

import type { Logger } from '../config/logger.ts';
import type { Settings } from '../config/settings.ts';
import { FinalError } from '../errors/final-error.ts';
import { FINGERPRINT_VERSION } from '../fingerprint/fingerprint.ts';
import type { Fingerprint } from '../fingerprint/fingerprint.ts';
import { payloadFingerprint } from '../fingerprint/payload-fingerprint.ts';
import type { Answer } from '../guard/answer.ts';
import type { GuardedCall } from '../guard/call.ts';
import type { CurrentAttempt } from '../guard/current.ts';
import type { Guard } from '../guard/guard.ts';
import { storeUnavailable } from '../guard/refusals.ts';
import { consumerHashOf, inboxIdentityOf } from '../key/identity.ts';
import type { Identity } from '../key/identity.ts';
import type { Key } from '../key/key-form.ts';
import { CODEC_VERSION } from '../record/codec.ts';
import type { FailingMessage, InboxStore } from '../store/inbox-port.ts';
import { StoreUnavailableError } from '../store/port.ts';
import { publish } from '../telemetry/channels.ts';
import type { ReadMessage } from './inbox-message.ts';
import { judgeRefusal } from './judge-failure.ts';
import type { Verdict } from './judge-failure.ts';
import { inWordsOfMessages, noted } from './message-refusals.ts';

/** What became of a message. In each case the broker may be told that it is done. */
export type InboxAnswer =
  /** `executed`: by this delivery. `replayed`: by an earlier one. */
  | { readonly outcome: 'executed' | 'replayed' }
  /** It is a dead letter: nobody handles it until `redrive`. */
  | { readonly outcome: 'dead'; readonly error: unknown };

export interface ProcessContext {
  readonly guard: Guard;
  readonly store: InboxStore;
  readonly settings: Settings;
  readonly logger: Logger;
  /** Runs work outside the attempt in which it is called. */
  readonly outside: <T>(work: () => T) => T;
}

/** Brokers take larger messages than GraphQL does. */
const MAX_PAYLOAD_BYTES = 256 * 1024 * 1024;

/** Rejects when the message has to come again. */
export async function processMessage(
  context: ProcessContext,
  message: ReadMessage,
  run: (attempt: CurrentAttempt) => unknown,
): Promise<InboxAnswer> {
  const { store } = context;
  const { consumer, messageId } = message;
  const { namespace } = context.settings;
  const identity = inboxIdentityOf({ namespace, consumer, messageId });
  const fingerprint = fingerprintOf(context, message);
  const failing: FailingMessage = {
    identity,
    fingerprint,
    consumer,
    messageId: storable(messageId),
    codecVersion: CODEC_VERSION,
    body: message.body,
  };
  const begun = message.deliveries > 1;
  if (begun) {
    // Before anything else: a message that takes its process with it leaves no other trace.
    const { isDead, crashes } = await store.begin(failing, message.crashLimit).catch(unavailable);
    if (isDead) return bury(new Error(`its consumer died ${crashes} times while handling it`));
  }
  const { handler, thrown } = handlerOf(message, run);
  let answer: Answer;
  try {
    const call = guardedCall(context, message, identity, fingerprint);
    // Called inside another attempt, it is still an attempt of its own.
    answer = await context.outside(() => context.guard.pass(call, { ...unattended, run: handler }));
  } catch (error) {
    return refused(error);
  }
  // Stored, because it may be committed in spite of it, or is the outcome of a lease: it will be the same every time.
  if (answer.kind === 'error') return fail(answer.error, 'hopeless');
  // What was executed has taken its failures with it.
  return answer.outcome === 'replayed' ? handledBefore() : { outcome: 'executed' };

  async function handledBefore(): Promise<InboxAnswer> {
    const forgotten = await attemptTo(store.forget(failing));
    if (forgotten === false && begun) await attemptTo(store.giveBack(identity));
    return { outcome: 'replayed' };
  }

  function unavailable(error: unknown): never {
    if (!(error instanceof StoreUnavailableError)) throw error;
    const circumstances = { coordinate: message.name, retryAfterMs: context.settings.retryAfter };
    throw inWordsOfMessages(storeUnavailable(circumstances, error), message.name);
  }

  async function refused(error: unknown): Promise<InboxAnswer> {
    const own = thrown();
    if (own !== undefined && own.carrier === error) {
      return fail(own.error, own.error instanceof FinalError ? 'hopeless' : 'failed');
    }
    const verdict = judgeRefusal(error, message.rule.mode);
    // Who waits for an answer is told that nobody knows. Who reads why a message fails is helped by the reason.
    const reason = own !== undefined && verdict === 'failed' ? own.error : undefined;
    return fail(reason ?? inWordsOfMessages(error, message.name), verdict);
  }

  async function fail(error: unknown, verdict: Verdict): Promise<InboxAnswer> {
    switch (verdict) {
      case 'handled':
        return handledBefore();
      case 'transient':
        if (begun) await attemptTo(store.giveBack(identity));
        throw error;
      case 'failed':
      case 'hopeless': {
        const maxFailures = verdict === 'hopeless' ? 1 : message.maxAttempts;
        const failure = { error: noted(error), begun, maxFailures };
        const counts = await attemptTo(store.fail(failing, failure));
        if (counts?.isDead === true) return bury(error);
        tell('failed', error);
        throw error;
      }
    }
  }

  function bury(error: unknown): InboxAnswer {
    context.logger.error(`${message.name}: a message is a dead letter: ${noted(error)}`, {
      identity: identity.toString('hex'),
    });
    tell('dead', error);
    return { outcome: 'dead', error };
  }

  function tell(event: 'failed' | 'dead', error: unknown): void {
    publish({ type: 'inbox', event, consumer, identity: identity.toString('hex'), error });
  }
}

/** Nobody waits for the answer of a message, and whoever delivers it may have it. */
const unattended = { authorizeReplay: (): void => {}, clientSignal: (): undefined => undefined };

/** What a handler threw, and what the guard was given in its place. */
interface Thrown {
  readonly error: unknown;
  readonly carrier: unknown;
}

/**
 * A `FinalError` of a transaction would be stored as the message's answer, and no redrive could ever handle it. So
 * the guard gets to see another, which rolls back and is forgotten.
 */
function handlerOf(
  { rule }: ReadMessage,
  run: (attempt: CurrentAttempt) => unknown,
): {
  readonly handler: (attempt: CurrentAttempt) => Promise<void>;
  readonly thrown: () => Thrown | undefined;
} {
  let thrown: Thrown | undefined;

  async function handler(attempt: CurrentAttempt): Promise<void> {
    try {
      const value = await run(attempt);
      // As for every guarded call: an error returned is an error thrown.
      if (value instanceof Error) throw value;
    } catch (error) {
      const isFinal = error instanceof FinalError && rule.mode === 'TRANSACTION';
      const carrier = isFinal ? new Error(error.message, { cause: error }) : error;
      thrown = { error, carrier };
      throw carrier;
    }
  }

  return { handler, thrown: () => thrown };
}

/** Computed before anything runs or waits, and never changed after. */
function guardedCall(
  context: ProcessContext,
  message: ReadMessage,
  identity: Identity,
  fingerprint: Fingerprint | undefined,
): GuardedCall {
  const { settings } = context;
  const { name, consumer, messageId, rule, ttlMs } = message;
  return Object.freeze({
    coordinate: name,
    rule,
    // Not a client's: its form is the broker's business, and only its hash is kept.
    key: messageId as Key,
    identity,
    scopeHash: consumerHashOf(settings.namespace, consumer),
    fingerprint: fingerprint ?? fingerprinted(context, message),
    fingerprintVersion: FINGERPRINT_VERSION,
    ttlMs,
  });
}

function fingerprinted({ settings }: ProcessContext, { name, payload }: ReadMessage): Fingerprint {
  return payloadFingerprint(name, payload, { ...settings, maxPayloadBytes: MAX_PAYLOAD_BYTES });
}

/** `undefined` for what has none: the call says why. */
function fingerprintOf(context: ProcessContext, message: ReadMessage): Fingerprint | undefined {
  try {
    return fingerprinted(context, message);
  } catch {
    return undefined;
  }
}

const MAX_SHOWN_LENGTH = 1000;

/** For reading only: what it was exactly is in the body. */
function storable(text: string): string {
  return Buffer.from(text.slice(0, MAX_SHOWN_LENGTH)).toString().replaceAll('\u0000', '\ufffd');
}

/** What is noted of a message must not decide about it: where the store is down, its error is the delivery's. */
async function attemptTo<T>(noting: Promise<T>): Promise<T | undefined> {
  try {
    return await noting;
  } catch (error) {
    if (error instanceof StoreUnavailableError) return undefined;
    throw error;
  }
}
