/** `fetch` that retries well, for every client that takes one: the engine behind the signature of `fetch`. */

import type { Judgement } from '../engine/judge.ts';
import { newKey as randomKey } from '../engine/new-key.ts';
import { OutcomeUnknownError } from '../engine/outcome-unknown-error.ts';
import { readRetryOptions } from '../engine/retry-options.ts';
import type { RetryOptions } from '../engine/retry-options.ts';
import { tell } from '../engine/tell.ts';
import { untilAnswered } from '../engine/until-answered.ts';
import type { Sending } from '../engine/until-answered.ts';
import type { Intent, Intents, Resumed } from '../intents/intents.ts';
import { readGraphQLRequest, typeOfBody, withKey } from './graphql-request.ts';
import type { FetchInit, GraphQLBody, GraphQLRequest } from './graphql-request.ts';
import type { OperationType } from './operation-type.ts';
import { readWhole } from './whole-response.ts';

export interface IdempotentFetchOptions extends RetryOptions {
  /** What sends the requests. @defaultValue the platform's `fetch` */
  readonly fetch?: typeof globalThis.fetch;
  /** Where the key goes: the header `Idempotency-Key`, or `extensions.idempotencyKey` in the body. @defaultValue "header" */
  readonly keyIn?: 'header' | 'extensions';
  /** Makes a key. @defaultValue a random UUID */
  readonly newKey?: () => string;
  /** Which mutations get a key, and with it retries: those that the server guards. @defaultValue all of them */
  readonly guarded?: (body: GraphQLBody) => boolean;
  /**
   * Says what a request is, for those that carry an id in place of their text.
   *
   * @defaultValue what the text says; without a text the request is sent once, as it is
   */
  readonly operationType?: (body: GraphQLBody) => OperationType | undefined;
  /** Keeps mutations over a reload, until they are answered. @defaultValue they are kept nowhere */
  readonly intents?: Intents;
}

export interface IdempotentFetch {
  (request: Request | string | URL, init?: FetchInit): Promise<Response>;
  /**
   * Sends the stored mutations again that had no answer yet, each with its own key. `init` is added to each,
   * for what is never stored: credentials and headers.
   */
  resume(init?: RequestInit): Promise<readonly Resumed<Response>[]>;
}

type Call = Pick<Sending<Response>, 'key' | 'sentBefore' | 'onRetry'> &
  Pick<FetchInit, 'onAttempt'> & { readonly signal: AbortSignal | null };

/** What is stored of a request. Headers are not: they hold credentials. */
interface StoredRequest {
  readonly url: string;
  readonly body: string;
}

/**
 * Makes a `fetch` that gives every mutation a key and sends it until there is an answer. Queries are sent again
 * too; subscriptions, batches, uploads and what isn't GraphQL pass through as they are.
 *
 * A mutation's promise resolves with an answer of the server that settles it, whatever its status, or rejects
 * with `OutcomeUnknownError`, or with the signal's reason where nothing was sent.
 *
 * @example
 * ```ts
 * const client = new GraphQLClient('https://api.example.com/graphql', { fetch: idempotentFetch() });
 * ```
 *
 * @throws RangeError for a retry option that makes no sense.
 */
export function idempotentFetch(options: IdempotentFetchOptions = {}): IdempotentFetch {
  const policy = readRetryOptions(options);
  const { keyIn = 'header', newKey = randomKey, guarded = () => true, intents } = options;
  const fetchOnce: typeof globalThis.fetch = (...call) => (options.fetch ?? globalThis.fetch)(...call);
  const typeOf = options.operationType ?? typeOfBody;

  async function send(
    request: Request | string | URL,
    { intent: name, key: own, onAttempt, onRetry, ...init }: FetchInit = {},
  ): Promise<Response> {
    const signal =
      init.signal ?? (typeof request === 'object' && 'signal' in request ? request.signal : null);
    signal?.throwIfAborted();
    const read = await readGraphQLRequest(request, init, typeOf);
    if (read === undefined || read.type === 'subscription') return fetchOnce(request, init);
    const call = { signal, onAttempt, onRetry };
    if (read.type === 'query') return exchange(read, { ...call, key: undefined });
    const key = read.key ?? own;
    if (key === undefined && !guarded(read.body!)) return fetchOnce(request, init);
    // Who gave up meanwhile leaves nothing behind that another call could find.
    signal?.throwIfAborted();
    const begun = await begin(read, name, key);
    try {
      const keyed = read.key === undefined ? withKey(read, begun.key, keyIn) : read.init;
      const response = await exchange({ ...read, init: keyed }, { ...call, ...begun });
      await intents?.settle(begun.key);
      return response;
    } catch (error) {
      // Another tab, with the same intent, may have been refused meanwhile, and have settled it.
      if (!(error instanceof OutcomeUnknownError)) await intents?.settle(begun.key);
      else if (begun.intent) await intents?.begin(begun.intent).catch(() => undefined);
      throw error;
    }
  }

  async function exchange({ request, init }: GraphQLRequest, call: Call): Promise<Response> {
    const judgements = new WeakMap<Response, Judgement>();
    return untilAnswered(
      {
        ...call,
        async send(attempt, signal) {
          tell(call.onAttempt, attempt);
          const sent = await fetchOnce(request, { ...init, signal });
          const { response, judgement } = await readWhole(sent, call.key !== undefined, call.signal);
          judgements.set(response, judgement);
          return response;
        },
        judge: (response) => judgements.get(response)!,
      },
      policy,
    );
  }

  async function begin(
    read: GraphQLRequest,
    name: string | undefined,
    own: string | undefined,
  ): Promise<{ readonly key: string; readonly sentBefore: boolean; readonly intent?: Intent }> {
    if (intents === undefined) return { key: own ?? newKey(), sentBefore: false };
    // Another page, with another base, may send it again.
    const { href } = new URL(read.url, (globalThis as { location?: { href: string } }).location?.href);
    const stored: StoredRequest = { url: href, body: read.text };
    const begun = await intents.begin({ name, key: own, request: stored });
    return { ...begun, key: begun.intent.key };
  }

  /** Only a response settles what was sent before; an intent of another client can't be sent from here. */
  async function again({ key, request }: Intent, init: RequestInit): Promise<Response> {
    try {
      const { url, body } = request as StoredRequest;
      const headers = new Headers(init.headers);
      if (!headers.has('content-type')) headers.set('content-type', 'application/json');
      return await send(url, { ...init, method: 'POST', headers, body, key });
    } catch (cause) {
      if (cause instanceof OutcomeUnknownError) throw cause;
      const reason = init.signal?.aborted ? 'aborted' : 'attempts';
      throw new OutcomeUnknownError({ key, reason, attempts: 0, cause });
    }
  }

  const resume: IdempotentFetch['resume'] = async (init = {}) =>
    intents === undefined ? [] : intents.resume((intent) => again(intent, init));
  return Object.assign(send, { resume });
}
