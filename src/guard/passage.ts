/** One call's passage: look in the fast tier, claim in the durable one, and do what the record says. */

import { decide } from '../record/decide.ts';
import type { Decision } from '../record/decide.ts';
import { decode } from '../record/codec.ts';
import { StoreUnavailableError } from '../store/port.ts';
import type { Claim, Recollection } from '../store/port.ts';
import { answer, remember } from './answer.ts';
import type { Answer, PassageContext, Passenger } from './answer.ts';
import type { GuardedCall } from './call.ts';
import type { Flight } from './flights.ts';
import { inProgress, storeUnavailable } from './refusals.ts';
import { passLease } from './lease/pass-lease.ts';
import { runAttempt } from './transaction/run-attempt.ts';
import { passWaiting } from './wait.ts';

/** Executes the call once, or gives its first answer. Throws what the client is to be told. */
export function pass(context: PassageContext, passenger: Passenger): Promise<Answer> {
  const passing = (): Promise<Answer> => passOnce(context, passenger);
  return passenger.call.rule.inFlight === 'WAIT' ? passWaiting(context, passenger, passing) : passing();
}

function passOnce(context: PassageContext, passenger: Passenger): Promise<Answer> {
  const { call } = passenger;
  const flight = context.flights.get(call.identity);
  if (flight === undefined) {
    return context.flights.lead(call.identity, (own) => lead(context, passenger, own));
  }
  if (flight.granted) return Promise.reject(inProgress({ ...call, ...context }));
  return follow(context, passenger, flight);
}

async function lead(context: PassageContext, passenger: Passenger, flight: Flight): Promise<Answer> {
  const { call } = passenger;
  const recalled = await context.fast.recall(call.identity);
  if (recalled !== undefined) {
    const decision = decide({ ...call, ...recalled, granted: false });
    // Redis may say "seen", never anything else.
    const usable = decision.kind === 'replay' || decision.kind === 'mismatch';
    if (usable && readable(decision) && (await mayReplay(context, recalled))) {
      flight.found(recalled.record, recalled.clockMs);
      return answer(context, passenger, decision);
    }
  }

  if (call.rule.mode === 'LEASE') return passLease(context, passenger, flight);
  const claim = await claimOrRefuse(context, call);
  const decision = decide({ ...call, ...claim });
  if (decision.kind === 'execute') {
    flight.vacant(true);
    return runAttempt(context, passenger, claim);
  }
  claim.attempt.abandon();
  if (claim.record === undefined) {
    flight.vacant(false);
  } else {
    flight.found(claim.record, claim.clockMs);
    remember(context, call, claim.record, claim.origin);
  }
  return answer(context, passenger, decision);
}

async function follow(context: PassageContext, passenger: Passenger, flight: Flight): Promise<Answer> {
  const lookup = await flight.lookup;
  switch (lookup.kind) {
    case 'failed':
      throw lookup.error;
    case 'vacant':
      throw inProgress({ ...passenger.call, ...context });
    case 'found':
      // Not granted: the flight's leader may be taking an expired record over.
      return answer(context, passenger, decide({ ...passenger.call, ...lookup, granted: false }));
  }
}

async function claimOrRefuse(context: PassageContext, call: GuardedCall): Promise<Claim> {
  try {
    return await context.durable.claim(call.identity);
  } catch (error) {
    throw error instanceof StoreUnavailableError ? storeUnavailable({ ...call, ...context }, error) : error;
  }
}

/** The database that answers must be the one that committed the record, not one that it failed over to. */
async function mayReplay(context: PassageContext, { origin }: Recollection): Promise<boolean> {
  return context.replayWithoutDatabase || (await context.durable.reached())?.tag === origin.tag;
}

/** What Redis holds may be authentic and still not decode; then the durable tier answers. */
function readable(decision: Decision): boolean {
  if (decision.kind !== 'replay') return true;
  try {
    decode(decision.body);
    return true;
  } catch {
    return false;
  }
}
