/** An Apollo link that gives every mutation its key: once for each intent, above the retries. */

import { ApolloLink, Observable } from '@apollo/client';
import { print } from 'graphql';
import { newKey as randomKey } from '../engine/new-key.ts';
import type { Judgement } from '../engine/judge.ts';
import { OutcomeUnknownError } from '../engine/outcome-unknown-error.ts';
import { tell } from '../engine/tell.ts';
import type { Begun, Intents } from '../intents/intents.ts';
import { contextOf, operationTypeOf, signalOf } from './context.ts';
import { isOutcomeUnknown, judgeError, judgeResult } from './judge-apollo.ts';
import { keyOf, placedKeyOf } from './key-of.ts';
import { isPartlyKeyed, keyVariables, keyedDocument } from './keyed-document.ts';
import { openSource } from './open-source.ts';
import { linkedIntents } from './resume-intents.ts';
import type { StoredOperation } from './resume-intents.ts';

export interface IdempotencyLinkOptions {
  /**
   * Where the key goes: the header `Idempotency-Key`, `extensions.idempotencyKey` of the request, or
   * `@idempotent(key:)` on each root field. The directive is refused by a server that doesn't guard the field;
   * the other two are ignored by it.
   *
   * @defaultValue "header"
   */
  readonly keyIn?: 'header' | 'extensions' | 'directive';
  /** Makes a key. @defaultValue a random UUID */
  readonly newKey?: () => string;
  /** Which mutations get a key, and with it retries: those that the server guards. @defaultValue all of them */
  readonly guarded?: (operation: ApolloLink.Operation) => boolean;
  /** Keeps mutations over a reload, until they are answered. @defaultValue they are kept nowhere */
  readonly intents?: Intents;
}

/**
 * Makes a link that gives every mutation a key, and leaves alone one that is there. It belongs above `retryLink`,
 * so that every retry has the same key.
 *
 * @example
 * ```ts
 * const link = ApolloLink.from([idempotencyLink(), retryLink(), new HttpLink({ uri: '/graphql' })]);
 * ```
 */
export function idempotencyLink({
  keyIn = 'header',
  newKey = randomKey,
  guarded = () => true,
  intents,
}: IdempotencyLinkOptions = {}): ApolloLink {
  if (intents !== undefined) linkedIntents.add(intents);
  return new ApolloLink((operation, forward) => {
    if (operationTypeOf(operation) !== 'mutation') return forward(operation);
    const own = keyOf(operation);
    if (own === undefined && !guarded(operation)) return forward(operation);
    // Another key beside those that are there would contradict them.
    if (own === undefined && keyIn !== 'directive' && isPartlyKeyed(operation)) return forward(operation);
    if (intents === undefined) {
      giveKey(operation, own ?? (contextOf(operation).newKey ?? newKey)(), wasSent(operation));
      return forward(operation);
    }
    const { intent: name, newKey: ownNewKey } = contextOf(operation);
    const request: StoredOperation = {
      query: print(operation.query),
      operationName: operation.operationName,
      variables: operation.variables,
    };
    return whileStored(operation, {
      intents,
      // Whoever subscribes again, such as a link that retries above this one, means the key of the first time.
      async begin() {
        const { intent, sentBefore } = await intents.begin({
          name,
          key: keyOf(operation) ?? (name === undefined ? ownNewKey?.() : undefined),
          request,
        });
        return { intent, sentBefore: sentBefore || wasSent(operation) };
      },
      send({ intent, sentBefore }) {
        giveKey(operation, intent.key, sentBefore);
        return forward(operation);
      },
    });
  });

  function giveKey(operation: ApolloLink.Operation, key: string, sentBefore: boolean): void {
    if (placedKeyOf(operation) === undefined) place(operation, key, keyIn);
    // `HttpLink` may leave extensions out unless it is told.
    if ('idempotencyKey' in operation.extensions) {
      operation.setContext(({ http }) => ({ http: { ...http, includeExtensions: true } }));
    }
    const context = contextOf(operation);
    operation.setContext({ idempotency: { ...context, key, sentBefore } });
    tell(context.onKey, key);
  }
}

/** What the caller says of a key of its own. */
function wasSent(operation: ApolloLink.Operation): boolean {
  return contextOf(operation).sentBefore === true && keyOf(operation) !== undefined;
}

function place(
  operation: ApolloLink.Operation,
  key: string,
  keyIn: NonNullable<IdempotencyLinkOptions['keyIn']>,
): void {
  switch (keyIn) {
    case 'header':
      operation.setContext(({ headers }) => ({ headers: { ...headers, 'idempotency-key': key } }));
      return;
    case 'extensions':
      operation.extensions = { ...operation.extensions, idempotencyKey: key };
      return;
    case 'directive': {
      const document = keyedDocument(operation.query, operation.operationName);
      operation.query = document.query;
      operation.variables = { ...operation.variables, ...keyVariables(document, key) };
      return;
    }
  }
}

/** Sends when the intent is stored, and forgets it when there is an answer, before anybody hears of that. */
function whileStored(
  operation: ApolloLink.Operation,
  {
    intents,
    begin,
    send,
  }: {
    readonly intents: Intents;
    readonly begin: () => Promise<Begun>;
    readonly send: (begun: Begun) => Observable<ApolloLink.Result>;
  },
): Observable<ApolloLink.Result> {
  return new Observable((observer) => {
    const ended = new AbortController();
    let unsubscribe: (() => void) | undefined;
    const run = async (): Promise<void> => {
      const { intent, sentBefore } = await begin();
      const settle = async ({ kind }: Judgement): Promise<void> => {
        if (kind === 'answer' || (kind === 'refusal' && !sentBefore)) await intents.settle(intent.key);
      };
      if (observer.closed) return settle({ kind: 'refusal' });
      const signal = signalOf(operation);
      if (signal?.aborted) {
        await settle({ kind: 'refusal' });
        throw sentBefore ? neverAnswered(intent.key, signal.reason) : signal.reason;
      }
      try {
        const opened = await openSource(send({ intent, sentBefore }), ended.signal);
        await settle(judgeResult(operation, opened.first, true));
        unsubscribe = opened.deliver(observer);
      } catch (error) {
        if (!isOutcomeUnknown(error)) await settle(judgeError(error, true));
        // Another tab, with the same intent, may have been refused meanwhile, and have settled it.
        else await intents.begin(intent).catch(() => undefined);
        throw error;
      }
    };
    run().catch((error: unknown) => observer.error(error));
    return () => {
      ended.abort();
      unsubscribe?.();
    };
  });
}

function neverAnswered(key: string, cause: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError({ key, reason: 'aborted', attempts: 0, cause });
}
