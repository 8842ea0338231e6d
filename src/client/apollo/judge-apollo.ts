/** Judges what came up a link: a result, or an error of the transport. */

import { CombinedGraphQLErrors, ServerError, ServerParseError } from '@apollo/client/errors';
import type { ApolloLink } from '@apollo/client';
import { givenUp } from '../engine/given-up.ts';
import { judge } from '../engine/judge.ts';
import type { Judgement } from '../engine/judge.ts';
import { OutcomeUnknownError } from '../engine/outcome-unknown-error.ts';
import { parseJson } from '../engine/parse-json.ts';
import { RetryBudgetExhaustedError } from '../engine/retry-budget-exhausted-error.ts';

/** Judges a result; `undefined` where the transport ended without one. */
export function judgeResult(
  operation: ApolloLink.Operation,
  result: ApolloLink.Result | undefined,
  keyed: boolean,
): Judgement {
  const { response } = operation.getContext() as { response?: Response };
  if (givenUp.has(response)) return { kind: 'refusal' };
  return judge({ status: response?.status, headers: response?.headers, body: result, keyed });
}

export function judgeError(error: unknown, keyed: boolean): Judgement {
  // Something below has tried already, and said how that ended.
  if (
    error instanceof OutcomeUnknownError ||
    error instanceof RetryBudgetExhaustedError ||
    givenUp.has(error)
  ) {
    return { kind: 'refusal' };
  }
  if (ServerError.is(error) || ServerParseError.is(error)) {
    const { statusCode: status, response, bodyText } = error;
    if (givenUp.has(response)) return { kind: 'refusal' };
    return judge({ status, headers: response.headers, body: parseJson(bodyText), keyed });
  }
  if (CombinedGraphQLErrors.is(error)) {
    const { data, errors, extensions } = error;
    if (data !== undefined) return judge({ body: { data, errors, extensions }, keyed });
    // The status is not to be seen here. What broke may have broken behind the execution.
    const broke = errors.some(({ extensions }) => extensions?.['code'] === 'INTERNAL_SERVER_ERROR');
    return judge({ status: broke ? 500 : undefined, body: { errors }, keyed });
  }
  return { kind: 'no-answer' };
}

/**
 * Tells whether an error of a mutation leaves open whether it was executed: no answer came, or one that says so.
 * With `retryLink` that is an `OutcomeUnknownError`; without it, whatever the transport failed with.
 */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof OutcomeUnknownError || judgeError(error, true).kind === 'no-answer';
}
