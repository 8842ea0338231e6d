/** One call's passage in lease mode, behind the fast tier: claim, take over, or do what the record says. */

import { decide } from '../../record/decide.ts';
import type { Decision } from '../../record/decide.ts';
import type { HeldLease, LeaseClaim } from '../../store/lease-port.ts';
import { StoreUnavailableError } from '../../store/port.ts';
import { answer, remember } from '../answer.ts';
import type { Answer, PassageContext, Passenger } from '../answer.ts';
import type { Flight } from '../flights.ts';
import { inProgress, storeUnavailable } from '../refusals.ts';
import { runLease } from './run-lease.ts';

export async function passLease(
  context: PassageContext,
  passenger: Passenger,
  flight: Flight,
  recovered = false,
): Promise<Answer> {
  const { call } = passenger;
  const claim = await available(context, passenger, () => claimLease(context, passenger));
  if (claim.lease !== undefined) {
    flight.vacant(true);
    return runLease(context, passenger, claim.lease, claim.clockMs);
  }
  const decision = decide({ ...call, ...claim });
  if (decision.kind === 'abandoned') {
    return passAbandoned(context, passenger, flight, { ...decision, clockMs: claim.clockMs }, recovered);
  }
  if (claim.record === undefined) {
    flight.vacant(false);
  } else {
    flight.found(claim.record, claim.clockMs);
    remember(context, call, claim.record, claim.origin);
  }
  return answer(context, passenger, decision);
}

/** First whoever may know is asked what became of it, then the field's policy. */
async function passAbandoned(
  context: PassageContext,
  passenger: Passenger,
  flight: Flight,
  abandoned: Extract<Decision, { kind: 'abandoned' }> & Pick<LeaseClaim, 'clockMs'>,
  recovered: boolean,
): Promise<Answer> {
  const { call } = passenger;
  const { coordinate, identity, rule } = call;
  // Others of this process that come meanwhile are told that it is in progress, as it is.
  flight.vacant(true);
  if (!recovered && context.recovery.knows(coordinate)) {
    const outcome = await available(context, passenger, () => context.recovery.offer(identity));
    if (outcome === 'busy') throw inProgress({ ...call, ...context });
    return passLease(context, passenger, flight, true);
  }
  if (rule.abandoned === 'REFUSE' || abandoned.attempt >= context.leases.maxAttempts) {
    return answer(context, passenger, abandoned);
  }
  const lease = await available(context, passenger, () => takeOver(context, identity, abandoned.fence));
  if (lease === undefined) throw inProgress({ ...call, ...context });
  return runLease(context, passenger, lease, abandoned.clockMs);
}

function claimLease({ durable, attempts, leases }: PassageContext, { call }: Passenger): Promise<LeaseClaim> {
  return durable.claimLease({
    identity: call.identity,
    scopeHash: call.scopeHash,
    coordinate: call.coordinate,
    fingerprintVersion: call.fingerprintVersion,
    fingerprint: call.fingerprint,
    ttlMs: call.ttlMs,
    tombstoneTtlMs: attempts.tombstoneTtlMs,
    leaseMs: leases.leaseMs,
  });
}

function takeOver(
  { durable, leases }: PassageContext,
  identity: Buffer,
  seen: Extract<Decision, { kind: 'abandoned' }>['fence'],
): Promise<HeldLease | undefined> {
  return durable.takeOver({ identity, seen, leaseMs: leases.leaseMs, rerun: true });
}

async function available<T>(
  context: PassageContext,
  { call }: Passenger,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StoreUnavailableError ? storeUnavailable({ ...call, ...context }, error) : error;
  }
}
