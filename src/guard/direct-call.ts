/** The guard without GraphQL: makes a guarded call of what its caller says, and takes it to its answer. */

import type { Config } from '../config/config.ts';
import { FinalError } from '../errors/final-error.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import { FINGERPRINT_VERSION } from '../fingerprint/fingerprint.ts';
import { payloadFingerprint } from '../fingerprint/payload-fingerprint.ts';
import { identityOf, scopeHashOf } from '../key/identity.ts';
import { checkKey } from '../key/key-form.ts';
import type { Key } from '../key/key-form.ts';
import type { Answer } from './answer.ts';
import type { GuardedCall } from './call.ts';
import type { CurrentAttempt } from './current.ts';
import type { GuardAnswer, GuardCall } from './direct/guard-call.ts';
import { readCall } from './direct/read-call.ts';
import type { ReadCall, ReadOptions } from './direct/read-call.ts';
import type { Guard } from './guard.ts';
import { tellRefusal } from './tell.ts';

export interface DirectCallOptions extends Pick<Config, 'settings' | 'keyFormat' | 'logger'>, ReadOptions {
  readonly guard: Guard;
  /** Runs work outside the attempt in which it is called. */
  readonly outside: <T>(work: () => T) => T;
}

export type DirectCall = <T>(
  call: GuardCall,
  run: (attempt: CurrentAttempt) => T | Promise<T>,
) => Promise<GuardAnswer<T>>;

/** Makes the function that guards calls which are no fields. */
export function createDirectCall(options: DirectCallOptions): DirectCall {
  const { guard, outside } = options;

  async function pass<T>(
    call: GuardCall,
    run: (attempt: CurrentAttempt) => T | Promise<T>,
  ): Promise<GuardAnswer<T>> {
    const read = readCall(call, run, options);
    const guarded = guardedCall(options, read);
    // Called inside another attempt, it is still an attempt of its own: what it writes through joined pools must
    // not be undone with that other one, once its own record says that it is done.
    const answer = await outside(() => guard.pass(guarded, read.guarded));
    if (answer.kind === 'error') throw errorOf(answer);
    return { outcome: answer.outcome, value: answer.value as T };
  }

  return (call, run) => guard.track(pass(call, run));
}

/** Computed before anything runs or waits, and never changed after. */
function guardedCall(options: DirectCallOptions, read: ReadCall): GuardedCall {
  const { settings, keyFormat, logger } = options;
  const { namespace } = settings;
  const { name, rule, ttlMs } = read;
  try {
    const key = keyOf(read, keyFormat);
    const scope = scopeOf(read);
    return Object.freeze({
      coordinate: name,
      rule,
      key,
      identity: identityOf({ namespace, scope, key }),
      scopeHash: scopeHashOf(namespace, scope),
      fingerprint: payloadFingerprint(name, read.payload, settings),
      fingerprintVersion: FINGERPRINT_VERSION,
      ttlMs,
    });
  } catch (error) {
    tellRefusal(logger, name, undefined, error);
    throw error;
  }
}

function keyOf({ name, key }: ReadCall, keyFormat: Config['keyFormat']): Key {
  if (key === undefined || key === null) {
    throw new IdempotencyError(
      'IDEMPOTENCY_KEY_MISSING',
      `${name} requires an idempotency key. Pass it as \`key\`.`,
    );
  }
  return checkKey(key, { coordinate: name, source: 'argument' }, keyFormat);
}

function scopeOf({ name, scope }: ReadCall): string {
  if (typeof scope === 'string' && scope !== '') return scope;
  const found =
    scope === ''
      ? 'empty'
      : scope === undefined || scope === null
        ? String(scope)
        : `of type ${typeof scope}`;
  throw new IdempotencyError(
    'IDEMPOTENCY_SCOPE_MISSING',
    `${name}: nothing was executed, because the \`scope\` of guard() is ${found}. It must be a non-empty string that says whose key it is.`,
  );
}

/** A stored error has lost its class; whoever catches it learns that it is the answer of every retry. */
function errorOf({ outcome, error }: Extract<Answer, { kind: 'error' }>): unknown {
  if (outcome === 'executed' || error instanceof IdempotencyError) return error;
  const { message, extensions } = error as FinalError;
  return new FinalError(message, { extensions });
}
