/** `fetch` that notes in the timeline what became of each attempt at a mutation. */

import type { Outcome, Timeline } from './timeline.ts';

interface Body {
  readonly data?: unknown;
  readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[];
}

/** Goes below the retries: it sees every attempt, and the key that it goes with. */
export function timedFetch(timeline: Timeline): typeof fetch {
  return async (resource, init) => {
    const headers = new Headers(init?.headers);
    const key = headers.get('idempotency-key');
    if (key === null) return fetch(resource, init);

    const id = crypto.getRandomValues(new Uint32Array(4)).join('-');
    // By this the server's switches know an attempt that the browser itself sends twice.
    headers.set('attempt-id', id);
    const sent = performance.now();
    timeline.begins({ id, key });
    try {
      const response = await fetch(resource, { ...init, headers });
      const text = await response.clone().text();
      timeline.ends(id, outcomeOf(response, text, performance.now() - sent));
      return response;
    } catch (error) {
      timeline.ends(id, { kind: 'lost', tookMs: performance.now() - sent });
      throw error;
    }
  };
}

function outcomeOf(
  { status, headers }: Response,
  text: string,
  tookMs: number,
): Exclude<Outcome, { kind: 'pending' }> {
  const { data, errors } = parse(text);
  if (data === undefined || data === null || errors !== undefined) {
    return { kind: 'refused', tookMs, status, code: errors?.[0]?.extensions?.code };
  }
  const served = headers.get('idempotent-replayed') === 'true' ? 'replayed' : 'executed';
  return { kind: 'answered', tookMs, status, served };
}

function parse(text: string): Body {
  try {
    return (JSON.parse(text) as Body | null) ?? {};
  } catch {
    return {};
  }
}
