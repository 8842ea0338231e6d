/** The key that an operation has already, wherever it was put. */

import type { ApolloLink } from '@apollo/client';
import { contextOf } from './context.ts';
import { keyInDocument } from './keyed-document.ts';

/** `undefined` where there is none, or where a root field of the mutation has none. */
export function keyOf(operation: ApolloLink.Operation): string | undefined {
  const placed = placedKeyOf(operation);
  const { key } = contextOf(operation);
  // What goes to the server is what counts, be it that the link has derived it from the intent's.
  return placed === undefined || (key !== undefined && placed.startsWith(`${key}:`)) ? key : placed;
}

/** The key that is on its way to the server: in a header, in `extensions`, or in the document. */
export function placedKeyOf(operation: ApolloLink.Operation): string | undefined {
  const { headers } = operation.getContext() as { headers?: Readonly<Record<string, unknown>> };
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (name.toLowerCase() === 'idempotency-key' && typeof value === 'string') return value;
  }
  const extension: unknown = operation.extensions?.['idempotencyKey'];
  return typeof extension === 'string' ? extension : keyInDocument(operation);
}
