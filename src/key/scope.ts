/** Knows what counts as a scope, and fails closed on everything else. */

import { GraphQLError } from 'graphql';
import { IdempotencyError } from '../errors/idempotency-error.ts';

/**
 * Returns the scope that the user's `scope` function gives.
 *
 * @param coordinates - The guarded fields that the scope is for, named by errors.
 * @throws IdempotencyError SCOPE_MISSING for anything but a non-empty string, so that callers without a scope
 * never share one, and when the function fails. A `GraphQLError` that it throws passes through.
 */
export async function resolveScope(call: () => unknown, coordinates: readonly string[]): Promise<string> {
  let scope: unknown;
  try {
    scope = await call();
  } catch (error) {
    if (error instanceof GraphQLError) throw error;
    throw scopeMissing(coordinates, 'failed', error);
  }
  if (typeof scope !== 'string') throw scopeMissing(coordinates, `returned ${kindOf(scope)}`);
  if (scope === '') throw scopeMissing(coordinates, 'returned an empty string');
  return scope;
}

function kindOf(value: unknown): string {
  return value === null || value === undefined ? String(value) : `a value of type ${typeof value}`;
}

function scopeMissing(coordinates: readonly string[], problem: string, cause?: unknown): IdempotencyError {
  const message =
    `${coordinates.join(', ')}: nothing was executed, because the server's \`scope\` function ${problem}. ` +
    'It must return a non-empty string that says whose key it is.';
  return new IdempotencyError('IDEMPOTENCY_SCOPE_MISSING', message, { cause });
}
