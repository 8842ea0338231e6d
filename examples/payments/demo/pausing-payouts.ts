/**
 * The payments server, with another such change: a payout stops between its two steps, when the provider has
 * paid and that is recorded, and nothing is booked.
 */

import { idempotency } from '../idempotency.ts';
import { pause } from './pause.ts';

const current = idempotency.current.bind(idempotency);

idempotency.current = (info) => {
  const attempt = current(info);
  if (info.fieldName !== 'payout') return attempt;
  const { step } = attempt;
  const transaction: typeof step.transaction = async (name, write) => {
    await pause();
    return step.transaction(name, write);
  };
  const pausingStep = Object.assign(((...call) => step(...call)) as typeof step, { transaction });
  return Object.create(attempt, { step: { value: pausingStep } }) as typeof attempt;
};

await import('../server.ts');
