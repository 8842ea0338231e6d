/** Makes the one kind of error that clients of this library see. */

import { GraphQLError } from 'graphql';
import { errorTable } from './codes.ts';
import type { ErrorCode } from './codes.ts';

export interface IdempotencyErrorOptions {
  /** How long a client should wait before it tries again, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Whether a retry can help, where that differs from the table. */
  readonly retryable?: boolean;
  /** What went wrong underneath. Logged, never sent. */
  readonly cause?: unknown;
}

/** What an `IdempotencyError` carries in `extensions`. */
export interface IdempotencyErrorExtensions {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly http: { readonly status: number; readonly headers: Map<string, string> };
  readonly [name: string]: unknown;
}

/**
 * Refuses a call: the mutation did not happen, or its outcome cannot be told.
 *
 * Messages name the field and what to do. They never carry a key, a scope, arguments, SQL or Redis text.
 */
export class IdempotencyError extends GraphQLError {
  declare readonly extensions: IdempotencyErrorExtensions;
  override readonly name = 'IdempotencyError';

  constructor(code: ErrorCode, message: string, options: IdempotencyErrorOptions = {}) {
    const { retryAfterMs, cause } = options;
    const { status } = errorTable[code];
    const retryable = options.retryable ?? errorTable[code].retryable;
    const headers = new Map<string, string>();
    if (retryAfterMs !== undefined) headers.set('retry-after', String(Math.ceil(retryAfterMs / 1000)));
    super(message, {
      extensions: {
        code,
        retryable,
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        http: { status, headers },
      },
    });
    // Not `originalError`: servers print that one to clients in development.
    if (cause !== undefined) Object.defineProperty(this, 'cause', { value: cause, enumerable: false });
  }

  get code(): ErrorCode {
    return this.extensions.code;
  }
}
