/** What a call of `fetch` asks for, as far as its retries go: the operation, and the key it has already. */

import type { Retry } from '../engine/retry-options.ts';
import { keyInDocument } from './key-in-document.ts';
import { parseJson } from '../engine/parse-json.ts';
import { operationType } from './operation-type.ts';
import type { OperationType } from './operation-type.ts';

export interface FetchInit extends RequestInit {
  /** What the caller calls this intent, such as a cart's id; with `intents` its open key is used again. */
  readonly intent?: string | undefined;
  /** A key of the caller's own; one that is in the request already comes first. */
  readonly key?: string | undefined;
  /** Told as each attempt is sent; the first is 1. */
  readonly onAttempt?: ((attempt: number) => void) | undefined;
  /** Told of each retry before its wait begins. */
  readonly onRetry?: ((retry: Retry) => void) | undefined;
}

/** A GraphQL request body: one operation. */
export interface GraphQLBody {
  readonly query?: string;
  readonly operationName?: string | null;
  readonly variables?: Readonly<Record<string, unknown>> | null;
  readonly extensions?: Readonly<Record<string, unknown>> | null;
  readonly [name: string]: unknown;
}

export interface GraphQLRequest {
  readonly request: Request | string | URL;
  readonly url: string;
  readonly init: RequestInit;
  readonly type: OperationType;
  /** Absent for a query that is asked by GET. */
  readonly body: GraphQLBody | undefined;
  /** The body as it came. */
  readonly text: string;
  readonly key: string | undefined;
}

const KEY_HEADER = 'idempotency-key';

/** `undefined` for anything that isn't one GraphQL operation as JSON: a batch, an upload, another request. */
export async function readGraphQLRequest(
  request: Request | string | URL,
  init: RequestInit,
  typeOf: (body: GraphQLBody) => OperationType | undefined,
): Promise<GraphQLRequest | undefined> {
  const asked = typeof Request === 'function' && request instanceof Request ? request : undefined;
  const url = request instanceof URL || typeof request === 'string' ? String(request) : request.url;
  const method = (init.method ?? asked?.method ?? 'GET').toUpperCase();
  if (method === 'GET') {
    if (!asksQuery(url)) return undefined;
    return { request, url, init, type: 'query', body: undefined, text: '', key: undefined };
  }
  const text = init.body ?? (asked !== undefined && isJson(asked) ? await asked.clone().text() : undefined);
  if (typeof text !== 'string') return undefined;
  const body = parseBody(text);
  const type = body && typeOf(body);
  if (type === undefined) return undefined;
  const headers = new Headers(init.headers ?? asked?.headers);
  const extension = body?.extensions?.['idempotencyKey'];
  const key = headers.get(KEY_HEADER) ?? (typeof extension === 'string' ? extension : keyInDocument(body!));
  return { request, url, init: { ...init, headers, body: text }, type, body, text, key };
}

/** The request with its key in the place that was chosen. */
export function withKey(
  { init, body, text }: Pick<GraphQLRequest, 'init' | 'body' | 'text'>,
  key: string,
  place: 'header' | 'extensions',
): RequestInit {
  if (place === 'extensions') {
    const extensions = { ...body?.extensions, idempotencyKey: key };
    // Added to the text where that is possible: what was parsed has lost the digits of large numbers.
    const added =
      body?.extensions === undefined
        ? `${text.trimEnd().slice(0, -1)},"extensions":${JSON.stringify(extensions)}}`
        : JSON.stringify({ ...body, extensions });
    return { ...init, body: added };
  }
  const headers = new Headers(init.headers);
  headers.set(KEY_HEADER, key);
  return { ...init, headers };
}

export function typeOfBody({ query, operationName }: GraphQLBody): OperationType | undefined {
  return typeof query === 'string' ? operationType(query, operationName) : undefined;
}

function isJson({ headers }: Request): boolean {
  return /\bjson\b/i.test(headers.get('content-type') ?? '');
}

function asksQuery(url: string): boolean {
  // The base is for addresses without a host; it is never asked.
  const { searchParams } = new URL(url, 'http://localhost');
  const query = searchParams.get('query');
  return query !== null && operationType(query, searchParams.get('operationName')) === 'query';
}

function parseBody(text: string): GraphQLBody | undefined {
  const body = parseJson(text);
  return typeof body === 'object' && body !== null && !Array.isArray(body)
    ? (body as GraphQLBody)
    : undefined;
}
