/** The error of a query that would have been sent again if the budget had allowed it. */

/** Says that the retry budget is exhausted. `cause` is what the query failed with. */
export class RetryBudgetExhaustedError extends Error {
  override readonly name = 'RetryBudgetExhaustedError';
  /** What the query received instead of an answer: a `Response` or a GraphQL result. */
  readonly received: unknown;

  constructor({ cause, received }: { readonly cause?: unknown; readonly received?: unknown }) {
    super('No answer, and the retry budget is exhausted.', cause === undefined ? undefined : { cause });
    this.received = received;
  }
}
