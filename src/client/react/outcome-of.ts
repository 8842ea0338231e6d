/** What a call came to: whether its intent is settled, and how. */

import type { ErrorLike } from '@apollo/client';
import { isOutcomeUnknown, judgeError } from '../apollo/judge-apollo.ts';

/** The parts of Apollo Client's result that tell the outcome. */
export interface Answer {
  readonly data?: unknown;
  readonly error?: ErrorLike | undefined;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

export type Outcome =
  | { readonly state: 'done'; readonly replayed: boolean }
  | { readonly state: 'failed'; readonly error: ErrorLike }
  | { readonly state: 'unknown'; readonly error: ErrorLike };

export function outcomeOfAnswer(answer: Answer, sentBefore: boolean): Outcome {
  if (answer.error !== undefined) return outcomeOfError(answer.error, sentBefore);
  // With the error policy "ignore" nobody learns the error; what was lost has no data at all, not even null.
  if (answer.data === undefined) return { state: 'unknown', error: new Error(IGNORED) };
  return { state: 'done', replayed: isReplay(answer.extensions) };
}

/** @param sentBefore whether an earlier call sent this key: a refusal then says nothing of that one. */
export function outcomeOfError(error: ErrorLike, sentBefore: boolean): Outcome {
  const settles = !isOutcomeUnknown(error) && !(sentBefore && judgeError(error, true).kind === 'refusal');
  return { state: settles ? 'failed' : 'unknown', error };
}

/** Whether every guarded field of the answer was replayed. */
function isReplay(extensions: Answer['extensions']): boolean {
  const fields = Object.values((extensions?.['idempotency'] ?? {}) as Record<string, { outcome?: unknown }>);
  return fields.length > 0 && fields.every((field) => field?.outcome === 'replayed');
}

const IGNORED = 'There is no answer, and the error policy "ignore" keeps back why.';
