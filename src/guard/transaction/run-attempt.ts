/** Runs the resolver inside its transaction, and completes the record with its outcome. */

import { IdempotencyError } from '../../errors/idempotency-error.ts';
import { periodOf } from '../../outbox/event-id.ts';
import { CODEC_VERSION, UnserializableError, encode } from '../../record/codec.ts';
import { decide } from '../../record/decide.ts';
import type { RecordOutcome } from '../../record/record.ts';
import { encodeError } from '../../record/stored-error.ts';
import type { Claim, Completion, NewRecord } from '../../store/port.ts';
import { publish } from '../../telemetry/channels.ts';
import type { GuardedCall } from '../call.ts';
import { answer, remember } from '../answer.ts';
import type { Answer, PassageContext, Passenger } from '../answer.ts';
import { isFinal } from '../error-choices.ts';
import { inProgress, outcomeUnknown, transactionAborted, transactionBroken } from '../refusals.ts';
import { settleIn } from '../settle.ts';

export async function runAttempt(
  context: PassageContext,
  passenger: Passenger,
  claim: Claim,
): Promise<Answer> {
  const { call } = passenger;
  const { client, addEvent } = claim.attempt;
  const period = periodOf(claim.clockMs, call.ttlMs);
  const settled = await settleIn(claim.attempt, (tx) =>
    passenger.resolve({ attempt: 1, tx, client, period, addEvent }),
  );
  switch (settled.kind) {
    case 'died':
      return rollBack(context, passenger, claim, transactionAborted({ ...call, ...context }, settled.reason));
    case 'threw':
      return endWithError(context, passenger, claim, settled.error);
    case 'returned':
      return endWithResult(context, passenger, claim, settled.value);
  }
}

async function endWithResult(
  context: PassageContext,
  passenger: Passenger,
  claim: Claim,
  value: unknown,
): Promise<Answer> {
  const { call } = passenger;
  const { attempts } = context;
  let body: Buffer;
  try {
    body = encodeResult(call, value, attempts.maxResultBytes);
  } catch (error) {
    return rollBack(context, passenger, claim, error);
  }
  const completion = await claim.attempt.complete(newRecord(context, call, 'result', body));
  if (completion.kind === 'committed' && !completion.wrote && !attempts.silentFields.has(call.coordinate)) {
    attempts.silentFields.add(call.coordinate);
    attempts.logger.warn(
      `${call.coordinate} succeeded without writing anything through its transaction. What it writes to Postgres on another connection does not commit together with the record, and happens again with a retry: write through idempotency.pool or idempotency.driver, or through idempotency.current(info).tx. What it does outside Postgres needs mode: LEASE. This is said once for each field.`,
    );
  }
  return conclude(context, passenger, completion, { outcome: 'executed', kind: 'result', value });
}

async function endWithError(
  context: PassageContext,
  passenger: Passenger,
  claim: Claim,
  error: unknown,
): Promise<Answer> {
  const { call } = passenger;
  // What Postgres caused is gone on the next try, whatever the resolver made of it: never final.
  if (claim.attempt.wasFailedByStore(error)) {
    return rollBack(context, passenger, claim, transactionAborted({ ...call, ...context }, error));
  }
  if (!isFinal(context.attempts, call.coordinate, error)) return rollBack(context, passenger, claim, error);
  let body: Buffer;
  try {
    body = encodeError(error);
  } catch (unserializable) {
    return rollBack(context, passenger, claim, unserializableError(call, unserializable, 'error'));
  }
  if (body.length > context.attempts.maxResultBytes) {
    return rollBack(
      context,
      passenger,
      claim,
      tooLarge(call, 'error', body, context.attempts.maxResultBytes),
    );
  }
  const completion = await claim.attempt.completeInstead(newRecord(context, call, 'error', body));
  return conclude(context, passenger, completion, { outcome: 'executed', kind: 'error', error });
}

async function rollBack(
  context: PassageContext,
  passenger: Passenger,
  claim: Claim,
  error: unknown,
): Promise<Answer> {
  if ((await claim.attempt.rollback()) === 'ended-underneath') {
    // The client is told what is stored: a retry must not get another answer than the first one.
    return endBroken(context, passenger, { kind: 'broken', mayBeCommitted: true, cause: error });
  }
  throw error;
}

/** Turns the end of the transaction into the answer. `own` is the answer if this attempt has committed. */
async function conclude(
  context: PassageContext,
  passenger: Passenger,
  completion: Completion,
  own: Answer,
): Promise<Answer> {
  const { call } = passenger;
  const circumstances = { ...call, ...context };
  switch (completion.kind) {
    case 'committed':
      remember(context, call, completion.record, completion.origin);
      return own;
    case 'conflict': {
      publish({ type: 'postgres', event: 'conflict' });
      const { sighting } = completion;
      const decision = decide({ ...call, ...sighting, granted: false });
      // A winner that has expired by now says nothing about this attempt, which is rolled back.
      if (decision.kind === 'busy' || decision.kind === 'execute') {
        throw transactionAborted(circumstances, new Error('the record of another attempt has expired'));
      }
      if (sighting.record !== undefined) remember(context, call, sighting.record, sighting.origin);
      return answer(context, passenger, decision);
    }
    case 'busy':
      throw inProgress(circumstances);
    case 'aborted':
      throw transactionAborted(circumstances, completion.cause);
    case 'unknown':
      throw outcomeUnknown(circumstances, completion.cause);
    case 'broken':
      return endBroken(context, passenger, completion);
  }
}

/** Where the effect may be committed, a retry must not repeat it: the error is stored as the answer. */
async function endBroken(
  context: PassageContext,
  passenger: Passenger,
  broken: Extract<Completion, { kind: 'broken' }>,
): Promise<Answer> {
  const { call } = passenger;
  const error = transactionBroken(call.coordinate, broken.mayBeCommitted, broken.cause);
  publish({ type: 'postgres', event: 'broken', error: broken.cause });
  if (!broken.mayBeCommitted) throw error;
  context.attempts.logger.error(error.message, {
    identity: call.identity.toString('hex'),
    cause: broken.cause,
  });
  const stored = await context.durable.record(newRecord(context, call, 'error', encodeError(error)));
  switch (stored.kind) {
    case 'committed':
      remember(context, call, stored.record, stored.origin);
      return { outcome: 'executed', kind: 'error', error };
    case 'conflict':
      return answer(context, passenger, decide({ ...call, ...stored.sighting, granted: false }));
    default:
      context.attempts.logger.error(`${call.coordinate}: its broken transaction could not be recorded.`, {
        identity: call.identity.toString('hex'),
      });
      throw error;
  }
}

function encodeResult(call: GuardedCall, value: unknown, maxBytes: number): Buffer {
  let body: Buffer;
  try {
    body = encode(value);
  } catch (error) {
    throw unserializableError(call, error, 'result');
  }
  if (body.length > maxBytes) throw tooLarge(call, 'result', body, maxBytes);
  return body;
}

function tooLarge(
  call: GuardedCall,
  what: 'result' | 'error',
  body: Buffer,
  maxBytes: number,
): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_RESULT_TOO_LARGE',
    `${call.coordinate}: the ${what} takes ${body.length} bytes, more than maxResultBytes (${maxBytes}). The transaction was rolled back. Return less, for example an id that nested fields resolve.`,
  );
}

function unserializableError(call: GuardedCall, error: unknown, what: 'result' | 'error'): IdempotencyError {
  const where = error instanceof UnserializableError ? `${what}${error.path}` : what;
  const why = error instanceof UnserializableError ? error.message : 'it cannot be encoded';
  return new IdempotencyError(
    'IDEMPOTENCY_RESULT_UNSERIALIZABLE',
    `${call.coordinate}: ${where} cannot be stored: ${why}. The transaction was rolled back.`,
    { cause: error },
  );
}

function newRecord(
  context: PassageContext,
  call: GuardedCall,
  outcome: RecordOutcome,
  body: Buffer,
): NewRecord {
  return {
    identity: call.identity,
    scopeHash: call.scopeHash,
    coordinate: call.coordinate,
    fingerprintVersion: call.fingerprintVersion,
    fingerprint: call.fingerprint,
    outcome,
    codecVersion: CODEC_VERSION,
    body,
    ttlMs: call.ttlMs,
    tombstoneTtlMs: context.attempts.tombstoneTtlMs,
  };
}
