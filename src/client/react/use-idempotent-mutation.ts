/** `useMutation` for what must happen once: a double click is one intent, and an unknown outcome keeps its key. */

import type { DocumentNode, OperationVariables, TypedDocumentNode } from '@apollo/client';
import { useMutation } from '@apollo/client/react';
import { useCallback, useEffect, useInsertionEffect, useRef, useState } from 'react';
import { newKey as randomKey } from '../engine/new-key.ts';
import type { Intents } from '../intents/intents.ts';
import { createMutationCalls } from './mutation-calls.ts';
import type { Call, Execute, HookOptions } from './mutation-calls.ts';
import type { MutationStatus } from './mutation-status.ts';

/** Options of `useMutation`, and those of the intent. */
export type IdempotentMutationOptions<
  TData = unknown,
  TVariables extends OperationVariables = OperationVariables,
  TConfiguredVariables extends Partial<TVariables> = Partial<TVariables>,
> = Omit<useMutation.Options<TData, TVariables>, 'variables'> & {
  /** Variables that every call has; `mutate` adds to them. */
  variables?: Partial<TVariables> & TConfiguredVariables;
  /**
   * What you call the intent, such as a cart's id. Intents of different names never share a key or a call. The
   * link makes the key: where it keeps intents, it finds that of this name's open one, even after a reload.
   */
  intent?: string | undefined;
  /** Makes the key of an intent without a name. @defaultValue a random UUID */
  newKey?: (() => string) | undefined;
  /** Where `idempotencyLink` keeps intents: the same ones, so that `reset()` can forget what it abandons. */
  intents?: Pick<Intents, 'settle'> | undefined;
};

/** The result of `useMutation`, and where the intent stands. */
export type IdempotentMutationResult<TData = unknown> = Omit<useMutation.Result<TData>, 'reset'> & {
  readonly status: MutationStatus;
  /** The key of the intent that is under way or unknown. */
  readonly key: string | undefined;
  /**
   * Returns to the state before the first call, and abandons an intent whose outcome is unknown: the next call is
   * a new one. If the abandoned one was executed after all, both are, and somebody pays twice: look at the
   * server's state first. Does nothing while a call is under way; its answer is still to come.
   */
  readonly reset: () => void;
};

/** The variables that a call must still give, where `Configured` has the others. */
type Remaining<TVariables extends OperationVariables, Configured> = {
  [Name in keyof TVariables as Name extends keyof Configured ? Name : never]?: TVariables[Name];
} & Omit<TVariables, keyof Configured>;

/** What the hook returns: `[mutate, result]`. */
export type IdempotentMutationTuple<
  TData = unknown,
  TVariables extends OperationVariables = OperationVariables,
> = [mutate: useMutation.MutationFunction<TData, TVariables>, result: IdempotentMutationResult<TData>];

/**
 * Calls a mutation so that every intent is executed once. It takes what `useMutation` takes, and needs
 * `idempotencyLink` in the client's links; with `retryLink` it also tells of attempts and waits.
 *
 * While a call is under way, another `mutate()` returns its promise, whatever its options. After a definite answer
 * the next call is a new intent with a new key. After an unknown outcome the next call sends the same key again,
 * and executes at most once whatever happened before, for as long as the server keeps the key. With other variables
 * it stays unknown, with KEY_REUSED, where the first were executed: they then find their answer. `reset()` abandons
 * an unknown intent.
 *
 * The promise settles as that of `useMutation` does, and goes on when the component is gone. An unknown key is
 * forgotten with the component, unless `idempotencyLink` keeps intents and this one has a name. A key of your own
 * goes into `context.idempotency.key`; it is yours to keep then. With the error policy "ignore", an answer without
 * data counts as unknown.
 *
 * @example
 * ```tsx
 * const PAY: TypedDocumentNode<{ pay: { id: string } }, { amount: number }> = gql`
 *   mutation Pay($amount: Int!) {
 *     pay(amount: $amount) {
 *       id
 *     }
 *   }
 * `;
 *
 * function PayButton({ cart }: { cart: { id: string; total: number } }) {
 *   const [pay, { status }] = useIdempotentMutation(PAY, { intent: cart.id });
 *   if (status.state === 'done') return <p>Paid.</p>;
 *   return (
 *     <button onClick={() => void pay({ variables: { amount: cart.total } })}>
 *       {status.state === 'unknown' ? 'Ask again' : 'Pay'}
 *     </button>
 *   );
 * }
 * ```
 */
export function useIdempotentMutation<
  TData = unknown,
  TVariables extends OperationVariables = OperationVariables,
  TConfiguredVariables extends Partial<TVariables> = {},
>(
  mutation: DocumentNode | TypedDocumentNode<TData, TVariables>,
  options: IdempotentMutationOptions<
    NoInfer<TData>,
    NoInfer<TVariables>,
    {
      [Name in keyof TConfiguredVariables]: Name extends keyof TVariables
        ? TConfiguredVariables[Name]
        : never;
    }
  > = {},
): IdempotentMutationTuple<TData, Remaining<TVariables, TConfiguredVariables>> {
  const { intent, newKey = randomKey, intents, ...apolloOptions } = options;
  const [execute, { reset: resetResult, ...result }] = useMutation<TData, TVariables>(
    mutation,
    apolloOptions as useMutation.Options<NoInfer<TData>, NoInfer<TVariables>>,
  );
  const latest = useRef<HookOptions>({ newKey });
  // Before all other effects: one of them may call `mutate`.
  useInsertionEffect(() => {
    const { onCompleted, onError, context } = apolloOptions as HookOptions;
    latest.current = { onCompleted, onError, context, intent, newKey, intents };
  });

  const [calls] = useState(createMutationCalls);
  const [{ status, key }, setShown] = useState(calls.shown);
  useEffect(() => calls.listen(setShown), [calls]);

  // Not async: whoever joins a call gets the same promise.
  const mutate = useCallback(
    (given: Call['options'] = {}) =>
      calls.mutate({ execute: execute as Execute, options: given, hook: () => latest.current }),
    [calls, execute],
  );
  const reset = useCallback(() => {
    if (calls.reset(latest.current.intents)) resetResult();
  }, [calls, resetResult]);

  return [mutate, { ...result, status, key, reset }] as IdempotentMutationTuple<
    TData,
    Remaining<TVariables, TConfiguredVariables>
  >;
}
