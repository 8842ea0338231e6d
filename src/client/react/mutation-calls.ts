/** The calls of one hook: which of them are one intent, and under which key. Knows neither React nor types of data. */

import type { ApolloClient, ErrorLike } from '@apollo/client';
import type { useMutation } from '@apollo/client/react';
import type { IdempotencyContext } from '../apollo/context.ts';
import { OutcomeUnknownError } from '../engine/outcome-unknown-error.ts';
import type { Intents } from '../intents/intents.ts';
import type { MutationStatus } from './mutation-status.ts';
import { outcomeOfAnswer, outcomeOfError } from './outcome-of.ts';
import type { Outcome } from './outcome-of.ts';

/** What `useMutation` returns, without its types of data. */
export type Execute = (options: useMutation.MutationFunctionOptions) => Promise<ApolloClient.MutateResult>;

export interface Call {
  readonly execute: Execute;
  /** What the caller of `mutate` gave. */
  readonly options: useMutation.MutationFunctionOptions;
  /** The hook's own, as they are when they are needed: a later render may have other callbacks. */
  readonly hook: () => HookOptions;
}

export interface HookOptions {
  readonly onCompleted?: useMutation.Options['onCompleted'] | undefined;
  readonly onError?: useMutation.Options['onError'] | undefined;
  readonly context?: Context;
  readonly intent?: string | undefined;
  readonly newKey: () => string;
  readonly intents?: Pick<Intents, 'settle'> | undefined;
}

type Context = useMutation.Options['context'];

/** What a component sees of the last intent that was begun. */
export interface Shown {
  readonly status: MutationStatus;
  /** The key of the intent that is under way or unknown. */
  readonly key: string | undefined;
}

export interface MutationCalls {
  readonly shown: () => Shown;
  /** Tells what is shown, now and whenever it changes, until the returned function is called. */
  listen(listener: (shown: Shown) => void): () => void;
  /** Begins an intent, joins the call that is under way, or sends an unknown one again. */
  mutate(call: Call): Promise<ApolloClient.MutateResult>;
  /** Forgets how the last intent ended, and its key, here and in `intents`; `false` while a call is under way. */
  reset(intents?: HookOptions['intents']): boolean;
}

/** An intent without a definite answer. */
interface OpenIntent {
  readonly name: string | undefined;
  /** Absent until a link finds or makes it. */
  key: string | undefined;
  readonly sentBefore: boolean;
  /** Whether a link took the key. */
  keyed: boolean;
  /** Absent when no call is under way. */
  promise?: Promise<ApolloClient.MutateResult>;
}

const IDLE: Shown = { status: { state: 'idle' }, key: undefined };

export function createMutationCalls(): MutationCalls {
  // Intents of other names stay apart: one cart's unknown payment must not lend its key to another cart.
  const open = new Map<string | undefined, OpenIntent>();
  let last: OpenIntent | undefined;
  let shown = IDLE;
  let listener: ((shown: Shown) => void) | undefined;

  function show(intent: OpenIntent, status: MutationStatus): void {
    if (intent !== last) return;
    shown = { status, key: open.has(intent.name) ? intent.key : undefined };
    listener?.(shown);
  }

  function conclude(intent: OpenIntent, outcome: Outcome): void {
    delete intent.promise;
    if (outcome.state === 'done') {
      open.delete(intent.name);
      return show(intent, outcome);
    }
    const { error } = outcome;
    if (error instanceof OutcomeUnknownError) intent.key = error.key;
    // Without a key it failed before a link had one: nothing was sent.
    if (outcome.state === 'unknown' && intent.key !== undefined) {
      return show(intent, { state: 'unknown', key: intent.key, error });
    }
    open.delete(intent.name);
    show(intent, { state: 'failed', error });
  }

  /** What the links are told, and what they tell; the caller's own listeners hear it too. */
  function conversation(
    intent: OpenIntent,
    newKey: () => string,
    theirs: IdempotencyContext | undefined,
  ): IdempotencyContext {
    return {
      newKey,
      ...theirs,
      key: intent.key,
      intent: intent.name,
      sentBefore: intent.sentBefore || theirs?.sentBefore,
      onKey(key) {
        intent.key = key;
        intent.keyed = true;
        show(intent, shown.status);
        theirs?.onKey?.(key);
      },
      onAttempt(attempt) {
        show(intent, { state: 'sending', attempt });
        theirs?.onAttempt?.(attempt);
      },
      onRetry(retry) {
        const { attempt, delayMs } = retry;
        show(intent, { state: 'retrying', attempt, nextTryAt: Date.now() + delayMs, delayMs });
        theirs?.onRetry?.(retry);
      },
    };
  }

  async function send(intent: OpenIntent, context: Context, call: Call): Promise<ApolloClient.MutateResult> {
    const { execute, options, hook } = call;
    let asked: useMutation.Options | undefined;
    const remember = (_: unknown, clientOptions?: useMutation.Options): void => {
      asked = clientOptions;
    };
    let answer: ApolloClient.MutateResult;
    try {
      answer = await execute({
        ...options,
        context: { ...context, idempotency: conversation(intent, hook().newKey, context?.idempotency) },
        // The caller's are called when the intent is settled: one of them may begin the next one.
        onCompleted: remember,
        onError: remember,
      });
    } catch (cause) {
      const error = cause as ErrorLike;
      conclude(intent, outcomeOfError(error, intent.sentBefore));
      (options.onError ?? hook().onError)?.(error, asked);
      throw error;
    }
    if (!intent.keyed) console.error(UNKEYED);
    conclude(intent, outcomeOfAnswer(answer, intent.sentBefore));
    if (answer.error !== undefined) (options.onError ?? hook().onError)?.(answer.error, asked);
    else (options.onCompleted ?? hook().onCompleted)?.(answer.data, asked);
    return answer;
  }

  return {
    shown: () => shown,
    listen(next) {
      listener = next;
      next(shown);
      return () => {
        listener = undefined;
      };
    },
    mutate(call) {
      const context = contextOf(call);
      const own = context?.idempotency;
      const name = own?.intent ?? call.hook().intent;
      const before = open.get(name);
      if (before?.promise !== undefined) return before.promise;
      // A new key is the link's to give: not every mutation may have one.
      const key = own?.key ?? before?.key;
      const sentBefore = key !== undefined && key === before?.key;
      const intent: OpenIntent = { name, key, sentBefore, keyed: false };
      open.set(name, intent);
      last = intent;
      show(intent, { state: 'sending', attempt: 1 });
      const promise = send(intent, context, call);
      // As with `useMutation`, whoever doesn't look at the promise looks at the result.
      promise.catch(() => undefined);
      intent.promise = promise;
      return promise;
    },
    reset(intents) {
      if (last?.promise !== undefined) return false;
      if (last !== undefined && open.get(last.name) === last) {
        open.delete(last.name);
        if (last.key !== undefined) void intents?.settle(last.key);
      }
      last = undefined;
      shown = IDLE;
      listener?.(shown);
      return true;
    },
  };
}

const UNKEYED =
  'useIdempotentMutation: the mutation went out without its key. The client needs idempotencyLink(), and its option ' +
  '`guarded` must take this mutation.';

function contextOf({ options: { context }, hook }: Call): Context {
  return typeof context === 'function' ? context(hook().context) : (context ?? hook().context);
}
