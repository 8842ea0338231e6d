/** What a component says to the links, and the links to each other, in an operation's context. */

import type { ApolloLink } from '@apollo/client';
import { getOperationAST } from 'graphql';
import type { OperationTypeNode } from 'graphql';
import type { Retry } from '../engine/retry-options.ts';

/** `context.idempotency` of an operation. */
export interface IdempotencyContext {
  /** A key of the caller's own, or the one that `idempotencyLink` gave. */
  readonly key?: string | undefined;
  /** Makes the key, where one is made. */
  readonly newKey?: (() => string) | undefined;
  /** What the caller calls this intent, such as a cart's id; with `intents` its open key is used again. */
  readonly intent?: string | undefined;
  /** Whether the key may have been sent before: a refusal then settles nothing. */
  readonly sentBefore?: boolean | undefined;
  /** Told the key, before anything is sent. */
  readonly onKey?: ((key: string) => void) | undefined;
  /** Told as each attempt is sent; the first is 1. */
  readonly onAttempt?: ((attempt: number) => void) | undefined;
  /** Told of each retry before its wait begins. */
  readonly onRetry?: ((retry: Retry) => void) | undefined;
}

declare module '@apollo/client' {
  interface DefaultContext {
    idempotency?: IdempotencyContext | undefined;
  }
}

export function contextOf(operation: ApolloLink.Operation): IdempotencyContext {
  return operation.getContext().idempotency ?? {};
}

/** The caller's own, that `HttpLink` takes too. */
export function signalOf(operation: ApolloLink.Operation): AbortSignal | undefined {
  const { fetchOptions } = operation.getContext() as { fetchOptions?: { signal?: AbortSignal | null } };
  return fetchOptions?.signal ?? undefined;
}

/** By the document and not by its text: a query may well contain the word. */
export function operationTypeOf({
  query,
  operationName,
}: ApolloLink.Operation): OperationTypeNode | undefined {
  return (getOperationAST(query, operationName) ?? getOperationAST(query))?.operation;
}
