/** Words that several findings are told in. */

import type { Reply } from './client.ts';
import type { Finding } from './verification-error.ts';

/** Writes names of effects into a sentence. */
export function names(effects: readonly string[]): string {
  return effects.map((effect) => `\`${effect}\``).join(' and ');
}

export function areLost(effects: readonly string[]): string {
  return `${names(effects)} ${effects.length === 1 ? 'is' : 'are'} lost`;
}

/** Says what a client was told. */
export function errorText({ errors }: Reply): string {
  const [error] = errors;
  if (error === undefined) return 'no error.';
  const code = error.extensions?.['code'];
  const text = `“${error.message}”`;
  return typeof code === 'string' ? `${text} (${code}).` : `${text}.`;
}

/** What was sent through the transaction when nobody could accept it any more. */
export function refusedLate(field: string, missing: readonly string[]): Finding {
  const lost = missing.length > 0 ? areLost(missing) : 'what it would have done is lost';
  return {
    kind: 'lost',
    effects: missing,
    scenarios: ['no fault'],
    message: `${field}: a statement came to its transaction after the resolver had settled, and was refused: ${lost}. Nobody awaits it: await every query before the resolver returns.`,
  };
}

/** What to do about an effect that the end of the transaction does not undo. */
export function outsideTransaction({
  late,
  wroteNothing,
}: {
  readonly late: boolean;
  readonly wroteNothing: boolean;
}): string {
  const what = late
    ? 'Nobody awaits it, and it is an effect outside the transaction.'
    : wroteNothing
      ? 'It is an effect outside the transaction, through which nothing was written at all: the resolver most likely writes on another connection.'
      : 'It is an effect outside the transaction.';
  return `${what} Write rows through \`idempotency.pool\` or \`idempotency.driver\`, or through \`idempotency.current(info).tx\`${late ? ', and await them' : ''}. For what is not in Postgres, use mode: LEASE with a step, or an outbox.`;
}
