/** Which thrown errors are remembered, and which say that nothing was done. */

import { GraphQLError } from 'graphql';
import { FinalError } from '../errors/final-error.ts';
import { NotExecutedError } from '../errors/not-executed-error.ts';
import type { AttemptSettings } from './attempt-settings.ts';

type Choice = (error: unknown, field: { readonly coordinate: string }) => boolean;

const refusalCodes: ReadonlySet<unknown> = new Set(['BAD_USER_INPUT', 'UNAUTHENTICATED', 'FORBIDDEN']);

/** Whether a retry must get this error again. */
export function isFinal(settings: AttemptSettings, coordinate: string, error: unknown): boolean {
  return error instanceof FinalError || chosen(settings, 'storeError', coordinate, error);
}

/** Whether the error says that nothing was done, so that a retry may execute. */
export function saysNothingWasDone(settings: AttemptSettings, coordinate: string, error: unknown): boolean {
  if (error instanceof NotExecutedError) return true;
  if (error instanceof GraphQLError && refusalCodes.has(error.extensions['code'])) return true;
  return chosen(settings, 'releaseError', coordinate, error);
}

function chosen(
  settings: AttemptSettings,
  name: 'storeError' | 'releaseError',
  coordinate: string,
  error: unknown,
): boolean {
  const choice: Choice | undefined = settings[name];
  try {
    const answer: unknown = choice?.(error, { coordinate });
    if (!(answer instanceof Promise)) return answer === true;
    // Unheard, its rejection would end the process.
    answer.catch(() => {});
    throw new TypeError('it returned a promise');
  } catch (cause) {
    // The attempt is still open: thrown from here, it would keep its transaction or its lease.
    settings.logger.error(`${coordinate}: \`${name}\` failed, so it chose nothing.`, { cause });
    return false;
  }
}
