/** The error that a resolver throws when a retry must get the same answer. */

import { GraphQLError } from 'graphql';
import type { GraphQLErrorExtensions } from 'graphql';

/**
 * Ends the mutation with an error that is remembered: it is stored under the key, and every retry gets it
 * again. In `mode: TRANSACTION` the transaction is rolled back, and any other thrown error is forgotten, so that
 * a retry executes. In `mode: LEASE` nothing can be rolled back, and any other error but `NotExecutedError`
 * leaves the outcome unknown.
 *
 * @example
 * ```ts
 * throw new FinalError('The card was declined.', { extensions: { code: 'CARD_DECLINED' } });
 * ```
 */
export class FinalError extends GraphQLError {
  override readonly name: string = 'FinalError';

  constructor(
    message: string,
    options: { readonly extensions?: GraphQLErrorExtensions; readonly cause?: unknown } = {},
  ) {
    super(message, options.extensions === undefined ? {} : { extensions: options.extensions });
    if (options.cause !== undefined) {
      Object.defineProperty(this, 'cause', { value: options.cause, enumerable: false });
    }
  }
}
