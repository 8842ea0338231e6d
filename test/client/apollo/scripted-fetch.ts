/** A `fetch` that does what it is told, one request after another, and remembers what was asked. */

export interface Asked {
  readonly key: string | null;
  readonly headers: Headers;
  readonly body: {
    readonly query?: string;
    readonly variables?: Readonly<Record<string, unknown>>;
    readonly extensions?: Readonly<Record<string, unknown>>;
  };
  readonly signal: AbortSignal;
}

/** What becomes of one request; a thrown error is a failure of the transport. */
export type Script = (asked: Asked) => Response | Promise<Response>;

export interface ScriptedFetch {
  readonly fetch: typeof globalThis.fetch;
  readonly asked: readonly Asked[];
  /** The keys of all requests in the header, each once. */
  readonly keys: () => readonly (string | null)[];
}

/** The last script is used for everything that follows. */
export function scriptedFetch(...scripts: readonly [Script, ...Script[]]): ScriptedFetch {
  const asked: Asked[] = [];
  return {
    asked,
    keys: () => [...new Set(asked.map(({ key }) => key))],
    async fetch(_, init) {
      const headers = new Headers(init?.headers);
      const request: Asked = {
        key: headers.get('idempotency-key'),
        headers,
        body: JSON.parse(init?.body as string),
        signal: init?.signal as AbortSignal,
      };
      const script = scripts[Math.min(asked.push(request), scripts.length) - 1]!;
      return script(request);
    },
  };
}

/** The transport fails: nobody knows whether the request came through. */
export const lost: Script = () => {
  throw new TypeError('fetch failed');
};

/** Nothing comes until the request is aborted. */
export const silent: Script = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

export interface AnswerOptions {
  readonly status?: number;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const answer =
  (body: unknown, { status = 200, type = 'application/json', headers = {} }: AnswerOptions = {}): Script =>
  () =>
    new Response(typeof body === 'string' ? body : JSON.stringify(body), {
      status,
      headers: { 'content-type': type, ...headers },
    });

export const GRAPHQL_RESPONSE = 'application/graphql-response+json';

/** A refusal as the server words it: no `data`. */
export const refused = (
  code: string,
  {
    retryAfterMs,
    retryable,
    ...options
  }: AnswerOptions & { retryAfterMs?: number; retryable?: boolean } = {},
): Script => answer({ errors: [{ message: code, extensions: { code, retryAfterMs, retryable } }] }, options);

export const paid: Script = answer({ data: { pay: { __typename: 'Payment', id: '1' } } });
export const ponged: Script = answer({ data: { ping: 'pong' } });
