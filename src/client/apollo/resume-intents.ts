/** Sends stored mutations again after a reload, through the client that the page has now. */

import type { ApolloClient } from '@apollo/client';
import { parse } from 'graphql';
import { OutcomeUnknownError } from '../engine/outcome-unknown-error.ts';
import type { Intent, Intents, Resumed } from '../intents/intents.ts';
import { judgeError } from './judge-apollo.ts';

/** What is stored of a mutation. */
export interface StoredOperation {
  readonly query: string;
  readonly operationName: string | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Those that an `idempotencyLink` of this page keeps: it gives what is sent again its key. */
export const linkedIntents = new WeakSet<Intents>();

/**
 * Sends every stored mutation again that had no answer yet, each with its own key. Call it when the page has
 * loaded and the user is known: an intent belongs to whoever began it.
 *
 * @example
 * ```ts
 * const resumed = await resumeIntents(client, intents);
 * ```
 *
 * @throws Error where no `idempotencyLink` has these intents: the mutations would go out without their keys.
 */
export async function resumeIntents(
  client: ApolloClient,
  intents: Intents,
): Promise<readonly Resumed<ApolloClient.MutateResult>[]> {
  if (!linkedIntents.has(intents)) {
    throw new Error(
      'resumeIntents: give the same intents to idempotencyLink({ intents }) in the links of this client.',
    );
  }
  return intents.resume((intent) => send(client, intent));
}

async function send(client: ApolloClient, intent: Intent): Promise<ApolloClient.MutateResult> {
  const { key, name, request } = intent;
  try {
    const { query, variables } = request as StoredOperation;
    return await client.mutate({
      mutation: parse(query),
      variables,
      // What the client does by default may be to resolve, whatever happened.
      errorPolicy: 'none',
      context: { idempotency: { key, intent: name, sentBefore: true } },
    });
  } catch (cause) {
    if (cause instanceof OutcomeUnknownError) throw cause;
    const { kind } = judgeError(cause, true);
    if (kind === 'answer') throw cause;
    // It was sent before: being refused now says nothing of then.
    const reason = kind === 'refusal' ? 'refused' : 'attempts';
    throw new OutcomeUnknownError({ key, reason, attempts: 1, cause });
  }
}
