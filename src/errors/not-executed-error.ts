/** The error that a resolver in lease mode throws when it has done nothing yet. */

import { GraphQLError } from 'graphql';
import type { GraphQLErrorExtensions } from 'graphql';

/**
 * Says that nothing was done, in `mode: LEASE`: the claim is released, the client gets this error, and a retry
 * with the same key executes. Throw it only where it is certain. In `mode: TRANSACTION` every error that is
 * not final is rolled back, and this one is like any other.
 *
 * @example
 * ```ts
 * throw new NotExecutedError('The bank is closed.', { extensions: { code: 'BANK_CLOSED' } });
 * ```
 */
export class NotExecutedError extends GraphQLError {
  override readonly name: string = 'NotExecutedError';

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
