/** Tells telemetry, and the operators' log, how a call ended. */

import type { Logger } from '../config/logger.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import { isObserved, publish } from '../telemetry/channels.ts';

/** An answer was given. `identity` is `undefined` where the call had no key. */
export function tellAnswer(
  coordinate: string,
  identity: Buffer | undefined,
  outcome: 'executed' | 'replayed' | 'failed',
): void {
  if (isObserved()) {
    publish({ type: 'answered', coordinate, identity: identity?.toString('hex'), outcome });
  }
}

/** An error was answered that is not remembered: a refusal, or what the resolver threw. */
export function tellRefusal(
  logger: Logger,
  coordinate: string,
  identity: Buffer | undefined,
  error: unknown,
): void {
  if (!(error instanceof IdempotencyError)) {
    tellAnswer(coordinate, identity, 'failed');
    return;
  }
  const { code, message, cause } = error;
  const hex = identity?.toString('hex');
  if (isObserved()) publish({ type: 'answered', coordinate, identity: hex, outcome: 'refused', code });
  // Clients get no text of a store; operators get it here.
  if (cause !== undefined) logger.warn(message, { code, identity: hex, cause });
}
