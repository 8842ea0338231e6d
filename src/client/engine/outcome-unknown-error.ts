/** The error of an intent that ends without an answer. */

/** Why no further attempt was made. */
export type StopReason =
  /** `attempts` were made. */
  | 'attempts'
  /** `deadlineMs` is over, or the server asks to wait beyond it. */
  | 'deadline'
  /** The retry budget is exhausted: too large a share of all requests are retries already. */
  | 'budget'
  /** The caller gave up, by its signal or by unsubscribing. */
  | 'aborted'
  /** A later attempt was refused before it was executed, which says nothing of the earlier ones. */
  | 'refused'
  /** The intent is older than the server keeps its key. */
  | 'expired';

export interface OutcomeUnknownDetails {
  readonly key: string;
  readonly reason: StopReason;
  /** How often it was sent, in this call. */
  readonly attempts: number;
  /** What the last attempt failed with, where it failed. */
  readonly cause?: unknown;
  /** What the last attempt received, where it received something. */
  readonly received?: unknown;
}

/**
 * Says that nobody knows whether the mutation was executed. It may be sent again with the same `key`, and is
 * executed once, however often. Never send it with another key without having looked: that may be the second
 * execution.
 */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';
  /** The key to send the mutation with again. */
  readonly key: string;
  readonly reason: StopReason;
  /** How often it was sent, in this call. */
  readonly attempts: number;
  /** What the last attempt received instead of an answer: a `Response` or a GraphQL result. */
  readonly received: unknown;

  constructor({ key, reason, attempts, cause, received }: OutcomeUnknownDetails) {
    super(
      `${WHY[reason]} ${ADVICE[reason] ?? MAY_BE_SENT_AGAIN}`,
      cause === undefined ? undefined : { cause },
    );
    this.key = key;
    this.reason = reason;
    this.attempts = attempts;
    this.received = received;
  }
}

const WHY: Record<StopReason, string> = {
  attempts: 'No attempt was answered.',
  deadline: 'No answer before the deadline.',
  budget: 'No answer, and the retry budget is exhausted.',
  aborted: 'Aborted before there was an answer.',
  refused: 'No answer, and a later attempt was refused.',
  expired: 'No answer, and the server may have forgotten the key.',
};

const MAY_BE_SENT_AGAIN = 'The outcome is unknown; the same key may be sent again.';
const ADVICE: Partial<Record<StopReason, string>> = {
  expired: 'The outcome is unknown; look for the effect first.',
};
