/** The block about waiting for another call runs: a wait ends with an answer, or when the client has gone. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { ApolloServer } from '@apollo/server';
import type { IdempotencyMessage } from 'graphql-idempotency';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createDatabase, redisUrl } from '../support/database.ts';
import { writeModules } from './modules.ts';
import type { world as preludeWorld } from './prelude.ts';

const modules = writeModules();
const database = await createDatabase({ migrated: true });
let world: typeof preludeWorld;

beforeAll(async () => {
  vi.stubEnv('DATABASE_URL', database.url);
  vi.stubEnv('REDIS_URL', redisUrl());
  vi.stubEnv('PORT', '0');
  for (const level of ['info', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation(() => {});
  // Not before: it reads the environment.
  ({ world } = await import('./prelude.ts'));
});

afterAll(async () => {
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

test('client-signal.ts: a call waits for the first one’s answer, and its client’s going ends that', async () => {
  let open!: () => void;
  world.gate = new Promise((resolve) => {
    open = resolve;
  });
  const block = await modules.load<{ url: string; server: ApolloServer }>('client-signal.ts');
  const refusals = listen((message) => message.type === 'answered' && message.outcome === 'refused');
  const claims = listen((message) => message.type === 'lease' && message.event === 'claimed');
  const send = async (signal?: AbortSignal, mark = ''): Promise<unknown> => {
    const response = await fetch(block.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: 'Bearer alice',
        'idempotency-key': 'waiting',
        'x-mark': mark,
      },
      body: JSON.stringify({ query: 'mutation { charge(amountCents: 5) }' }),
      ...(signal === undefined ? {} : { signal }),
    });
    return response.json();
  };
  const first = send();
  await claims.next;
  const waiting = send();
  const leaving = new AbortController();
  const arrived = once('http.server.request.start', (seen) => markOf(seen) === 'leaving');
  const left = send(leaving.signal, 'leaving').catch((error: Error) => error.name);
  await arrived.next;
  // By the answer to another request, that one's context is made.
  await fetch(`${block.url}?query={ping}`, { headers: { 'apollo-require-preflight': 'true' } });
  leaving.abort();
  expect(await left).toBe('AbortError');
  expect(await refusals.next).toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS' });
  open();
  world.gate = undefined;
  const told = (outcome: string) => ({
    data: { charge: 'charge 1' },
    extensions: { idempotency: { charge: { outcome } } },
  });
  expect(await first).toEqual(told('executed'));
  expect(await waiting).toEqual(told('replayed'));
  expect(world.providerKeys).toHaveLength(1);
  await block.server.stop();
});

/** The next message of the library's of a kind. */
function listen(wanted: (message: IdempotencyMessage) => boolean): { readonly next: Promise<unknown> } {
  return once('graphql-idempotency', (data) => wanted(data as IdempotencyMessage));
}

function once(name: string, wanted: (data: unknown) => boolean): { readonly next: Promise<unknown> } {
  const next = new Promise((resolve) => {
    const hear = (data: unknown): void => {
      if (!wanted(data)) return;
      unsubscribe(name, hear);
      resolve(data);
    };
    subscribe(name, hear);
  });
  return { next };
}

function markOf(seen: unknown): unknown {
  return (seen as { request: IncomingMessage }).request.headers['x-mark'];
}
