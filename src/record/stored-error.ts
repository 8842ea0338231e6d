/** What is kept of an error that a retry must get again. */

import { GraphQLError } from 'graphql';
import { errorTable } from '../errors/codes.ts';
import type { ErrorCode } from '../errors/codes.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import { decode, encode } from './codec.ts';

/**
 * Encodes the message and the extensions of an error. Of `extensions.http` only the status is kept: headers
 * belong to one response, and may carry cookies.
 */
export function encodeError(error: unknown): Buffer {
  const message = error instanceof Error ? error.message : String(error);
  const extensions = error instanceof GraphQLError ? withoutHeaders(error.extensions) : {};
  return encode({ message, extensions });
}

/** Makes the stored error anew, for one response: one of the library's own as what it was. */
export function decodeError(body: Buffer): GraphQLError {
  const { message, extensions } = decode(body) as { message: string; extensions: Record<string, unknown> };
  const code: unknown = extensions['code'];
  return typeof code === 'string' && Object.hasOwn(errorTable, code)
    ? new IdempotencyError(code as ErrorCode, message)
    : new GraphQLError(message, { extensions });
}

function withoutHeaders(extensions: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { http, ...rest } = extensions;
  const status: unknown = (http as { status?: unknown } | null | undefined)?.status;
  return typeof status === 'number' ? { ...rest, http: { status } } : rest;
}
