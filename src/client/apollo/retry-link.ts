/** An Apollo link that sends an operation until there is an answer. It retries only what is safe. */

import { ApolloLink, Observable } from '@apollo/client';
import { readRetryOptions } from '../engine/retry-options.ts';
import type { RetryOptions, RetryPolicy } from '../engine/retry-options.ts';
import { tell } from '../engine/tell.ts';
import { untilAnswered } from '../engine/until-answered.ts';
import { contextOf, operationTypeOf, signalOf } from './context.ts';
import { judgeError, judgeResult } from './judge-apollo.ts';
import { keyOf, placedKeyOf } from './key-of.ts';
import { openSource } from './open-source.ts';
import type { Opened } from './open-source.ts';

/**
 * Makes a link that retries queries, and mutations that have a key; everything else passes through as it is.
 * It belongs below `idempotencyLink`, and above the link that sends.
 *
 * A mutation ends with an answer that settles it, or with an `OutcomeUnknownError`. A query ends with what its
 * last attempt got, or with a `RetryBudgetExhaustedError`. Unsubscribing ends everything: no attempt follows.
 *
 * @example
 * ```ts
 * const link = ApolloLink.from([idempotencyLink(), retryLink(), new HttpLink({ uri: '/graphql' })]);
 * ```
 *
 * @throws RangeError for an option that makes no sense.
 */
export function retryLink(options: RetryOptions = {}): ApolloLink {
  const policy = readRetryOptions(options);
  return new ApolloLink((operation, forward) => {
    // One that nothing puts into the request never comes to the server.
    const key = placedKeyOf(operation) === undefined ? undefined : keyOf(operation);
    const type = operationTypeOf(operation);
    if (type === 'subscription' || (type === 'mutation' && key === undefined)) return forward(operation);
    const mutationKey = type === 'mutation' ? key : undefined;
    return retrying(operation, forward, { key: mutationKey, policy });
  });
}

function retrying(
  operation: ApolloLink.Operation,
  forward: ApolloLink.ForwardFunction,
  { key, policy }: { readonly key: string | undefined; readonly policy: RetryPolicy },
): Observable<ApolloLink.Result> {
  return new Observable((observer) => {
    const { onAttempt, onRetry, sentBefore } = contextOf(operation);
    const keyed = key !== undefined;
    const caller = callerOf(operation);
    let unsubscribe: (() => void) | undefined;

    const opened: Promise<Opened<ApolloLink.Result>> = untilAnswered(
      {
        key,
        sentBefore,
        signal: caller.signal,
        onRetry,
        async send(attempt, signal) {
          tell(onAttempt, attempt);
          // What an earlier attempt left there must not be taken for this one's.
          operation.setContext({ response: undefined });
          return openSource(forward(operation), signal);
        },
        judge(answer) {
          const judgement = judgeResult(operation, answer.first, keyed);
          if (judgement.kind === 'no-answer') answer.close();
          return judgement;
        },
        judgeFailure: (error) => judgeError(error, keyed),
      },
      policy,
    );
    opened.then(
      (answer) => {
        caller.release();
        if (!observer.closed) unsubscribe = answer.deliver(observer);
        else answer.close();
      },
      (error: unknown) => {
        caller.release();
        observer.error(error);
      },
    );
    return () => {
      caller.abort();
      unsubscribe?.();
    };
  });
}

/** Who may end it: whoever unsubscribes, and the signal that was given with the operation. */
interface Caller {
  readonly signal: AbortSignal;
  abort(): void;
  release(): void;
}

function callerOf(operation: ApolloLink.Operation): Caller {
  const controller = new AbortController();
  const outer = signalOf(operation);
  const abort = (): void => controller.abort(outer?.aborted ? outer.reason : undefined);
  if (outer?.aborted) abort();
  else outer?.addEventListener('abort', abort);
  return {
    signal: controller.signal,
    abort,
    release: () => outer?.removeEventListener('abort', abort),
  };
}
