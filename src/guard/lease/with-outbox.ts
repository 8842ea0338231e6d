/** What a step with a transaction is given, made of what every step is given. */

import type { Outbox } from '../../outbox/outbox.ts';
import type { StepCall, StepTransactionCall } from './step.ts';

/** A copy by spreading would ask for the signal, which is made when somebody does. */
export function withOutbox(call: StepCall, outbox: Outbox): StepTransactionCall {
  return Object.defineProperty(call, 'outbox', { value: outbox, enumerable: true }) as StepTransactionCall;
}
