/** `fetch` that retries well, for every client that takes one: the engine behind the signature of `fetch`. */

import { newKey as randomKey } from '../engine/new-key.ts';
import { OutcomeUnknownError } from '../engine/outcome-unknown-error.ts';
import { readRetryOptions } from '../engine/retry-options.ts';
import type { RetryOptions } from '../engine/retry-options.ts';
import { untilAnswered } from '../engine/until-answered.ts';
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
    { intent: name, ...init }: FetchInit = {},
  ): Promise<Response> {
    const signal =
      init.signal ?? (typeof request === 'object' && 'signal' in request ? request.signal : null);
    signal?.throwIfAborted();
    const read = await readGraphQLRequest(request, init, typeOf);
    if (read === undefined || read.type === 'subscription') return fetchOnce(request, init);
    if (read.type === 'query') return exchange(read.request, read.init, undefined, false, signal);
    if (read.key === undefined && !guarded(read.body!)) return fetchOnce(request, init);
    const { key, sentBefore } = await begin(read, name);
    const keyed = read.key === undefined ? withKey(read, key, keyIn) : read.init;
    return settling(key, () => exchange(read.request, keyed, key, sentBefore, signal));
  }

  async function exchange(
    request: Request | string | URL,
    init: RequestInit,
    key: string | undefined,
    sentBefore: boolean,
    signal: AbortSignal | null,
  ): Promise<Response> {
    const answer = await untilAnswered(
      {
        key,
        sentBefore,
        signal,
        send: async (_, attempt) =>
          readWhole(await fetchOnce(reusable(request), { ...init, signal: attempt }), key !== undefined),
        judge: ({ judgement }) => judgement,
      },
      policy,
    );
    return answer.response;
  }

  async function begin(
    read: GraphQLRequest,
    name: string | undefined,
  ): Promise<{ key: string; sentBefore: boolean }> {
    if (intents === undefined) return { key: read.key ?? newKey(), sentBefore: false };
    // Another page, with another base, may send it again.
    const { href } = new URL(read.url, (globalThis as { location?: { href: string } }).location?.href);
    const stored: StoredRequest = { url: href, body: read.text };
    const { intent, sentBefore } = await intents.begin({ name, key: read.key, request: stored });
    return { key: intent.key, sentBefore };
  }

  async function settling(key: string, exchange: () => Promise<Response>): Promise<Response> {
    try {
      const response = await exchange();
      await intents?.settle(key);
      return response;
    } catch (error) {
      if (!(error instanceof OutcomeUnknownError)) await intents?.settle(key);
      throw error;
    }
  }

  async function again(intent: Intent, init: RequestInit): Promise<Response> {
    const { url, body } = intent.request as StoredRequest;
    const headers = new Headers(init.headers);
    if (!headers.has('content-type')) headers.set('content-type', 'application/json');
    const request = {
      init: { ...init, method: 'POST', headers, body },
      body: JSON.parse(body) as GraphQLBody,
    };
    return send(url, withKey(request, intent.key, keyIn));
  }

  const resume: IdempotentFetch['resume'] = async (init = {}) =>
    intents === undefined ? [] : intents.resume((intent) => again(intent, init));
  return Object.assign(send, { resume });
}

/** A request can be read once; each attempt reads a copy. */
function reusable(request: Request | string | URL): Request | string | URL {
  return typeof Request === 'function' && request instanceof Request ? request.clone() : request;
}
