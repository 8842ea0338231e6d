/** This package's own client, as it is shipped, over a `fetch` that asks the storm's server. */

import { OutcomeUnknownError, RetryBudget, idempotentFetch } from 'graphql-idempotency/client';
import type { IdempotentFetchOptions } from 'graphql-idempotency/client';
import type { StormServer } from './server.ts';
import type { Strategy } from './strategy.ts';

export interface EngineSettings {
  readonly name: string;
  readonly hasBudget: boolean;
  /** Whether refusals carry `Retry-After`. */
  readonly retryAfter: boolean;
  /** What one client is made with, beside its transport. */
  readonly options: () => Omit<IdempotentFetchOptions, 'fetch'>;
}

export const fullJitter: Strategy = engine({
  name: 'full jitter',
  hasBudget: false,
  retryAfter: false,
  options: () => ({ budget: false }),
});

/** The defaults. Every client is a process, so each has a budget of its own. */
export const withBudget: Strategy = engine({
  name: 'full jitter with budget and Retry-After',
  hasBudget: true,
  retryAfter: true,
  options: () => ({ budget: new RetryBudget() }),
});

const URL = 'http://shop.example/graphql';
const HEADERS = { 'content-type': 'application/json' };
const BODY = '{"query":"mutation Pay($intent: Int!) { pay(intent: $intent) }","variables":{"intent":';

export function engine({ name, hasBudget, retryAfter, options }: EngineSettings): Strategy {
  // Not random ones: those of the platform come from no seed.
  let keys = 0;
  const newKey = (): string => `key-${(keys += 1)}`;
  return {
    name,
    hasBudget,
    createClient(server, { retryAfterSeconds }) {
      const fetch = serverFetch(server, retryAfter ? retryAfterSeconds : undefined);
      const send = idempotentFetch({ newKey, ...options(), fetch });
      return {
        async begin(intent) {
          try {
            const init = { method: 'POST', headers: HEADERS, body: `${BODY}${intent}}}` };
            return (await send(URL, init)).ok;
          } catch (error) {
            if (error instanceof OutcomeUnknownError) return false;
            throw error;
          }
        },
      };
    },
  };
}

function serverFetch(
  server: Pick<StormServer, 'receive'>,
  retryAfterSeconds: number | undefined,
): typeof fetch {
  const refused = createResponse(503, '{"errors":[{"message":"The server is down."}]}', {
    ...HEADERS,
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  });
  const done = createResponse(200, '{"data":{"pay":true}}', HEADERS);
  const lost = new TypeError('fetch failed');
  return async (_, init) =>
    new Promise((resolve, reject) => {
      const intent = Number((init!.body as string).slice(BODY.length, -2));
      const key = (init!.headers as Headers).get('idempotency-key') ?? undefined;
      server.receive({ intent, key }, (answer) => {
        if (answer === 'lost') reject(lost);
        else resolve(answer === 'done' ? done : refused);
      });
    });
}

/** What is read of a `Response`, which is made once: a real one can be read once only, and there are millions. */
function createResponse(status: number, text: string, headers: Record<string, string>): Response {
  const parts: Partial<Response> = {
    status,
    ok: status === 200,
    statusText: '',
    url: URL,
    headers: new Headers(headers),
    text: async () => text,
  };
  return parts as Response;
}
