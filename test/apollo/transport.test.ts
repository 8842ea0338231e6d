/** The mark of HTTP: methods, media types, persisted queries, statuses, headers, and connections that break. */

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { PAY, startService } from '../support/service.ts';
import type { Service } from '../support/service.ts';
import { deferred, eventually } from '../support/signal.ts';
import type { Deferred } from '../support/signal.ts';
import { sendAndForget, sendRaw } from './raw-http.ts';
import { expectRefusal } from './refusal.ts';

let service: Service;
let reached: Deferred<void>;
let held: Deferred<void> | undefined;
beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    options: { retryAfter: 1500 },
    pay: async ({ insert }) => {
      if (held !== undefined) {
        reached.resolve();
        await held.promise;
      }
      return insert();
    },
  });
});
afterAll(() => service.stop());

function hold(): void {
  reached = deferred();
  held = deferred();
}
function letGo(): void {
  held?.resolve();
  held = undefined;
}

describe('a mutation by GET', () => {
  test.each([
    ['with a header that passes CSRF prevention', [['apollo-require-preflight', 'yes']], 405],
    ['like a browser would send it', [], 400],
  ] as const)('%s is refused by the server, and nothing is stored', async (_what, headers, status) => {
    const before = [service.runs(), await service.records()];
    const query = encodeURIComponent('mutation { pay(amount: 1) @idempotent(key: "get-${status}") { id } }');
    const reply = await sendRaw(service.url, {
      method: 'GET',
      path: `/?query=${query}`,
      headers: [...headers, ['idempotency-key', `get-${status}`]],
    });
    expect(reply.status).toBe(status);
    expect([service.runs(), await service.records()]).toEqual(before);
    expect((await service.send({ key: `get-${status}` })).body.extensions.idempotency.pay.outcome).toBe(
      'executed',
    );
  });
});

describe('a persisted query', () => {
  const query = 'mutation ($n: Int!) { pay(amount: $n) { id amount } }';
  const persistedQuery = { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') };
  const headers = { 'idempotency-key': 'apq' };

  test('that is not known consumes no key; one that is known has the same fingerprint', async () => {
    const short = { variables: { n: 3 }, extensions: { persistedQuery } };
    const miss = await service.post(short, headers);
    expect(miss.code).toBe('PERSISTED_QUERY_NOT_FOUND');
    expect(miss.headers.get('idempotent-replayed')).toBeNull();
    const runs = service.runs();
    const registered = await service.post({ query, ...short }, headers);
    expect(registered.body.extensions.idempotency.pay.outcome).toBe('executed');
    const hit = await service.post(short, headers);
    expect(hit.body.data).toEqual(registered.body.data);
    expect(hit.body.extensions.idempotency.pay.outcome).toBe('replayed');
    expect(service.runs()).toBe(runs + 1);
    expectRefusal(await service.post({ ...short, variables: { n: 4 } }, headers), 'KEY_REUSED', 422);
  });
});

describe.each(['application/json', 'application/graphql-response+json'])('as %s', (accept) => {
  const send = (key?: string, query = PAY) =>
    service.send({
      query,
      headers: { accept },
      ...(key === undefined ? {} : { key: `${accept.length}-${key}` }),
    });

  test('executing and replaying are 200', async () => {
    for (const outcome of ['executed', 'replayed']) {
      const reply = await send('plain');
      expect(reply.status).toBe(200);
      expect(reply.headers.get('content-type')).toContain(accept);
      expect(reply.body.extensions.idempotency.pay.outcome).toBe(outcome);
    }
  });

  test('refusals have the status of their code, and no data', async () => {
    expectRefusal(await send(), 'KEY_MISSING', 400);
    await send('used');
    expectRefusal(await send('used', 'mutation { pay(amount: 1) { id } }'), 'KEY_REUSED', 422);
  });

  test('IN_PROGRESS is 409, and says when to come again', async () => {
    hold();
    const first = send('busy');
    await reached.promise;
    const second = await send('busy');
    letGo();
    expectRefusal(second, 'IN_PROGRESS', 409);
    expect(second.headers.get('retry-after')).toBe('2');
    expect(second.body.errors[0].extensions.retryAfterMs).toBe(1500);
    expect((await first).status).toBe(200);
    expect((await send('busy')).headers.get('idempotent-replayed')).toBe('true');
  });
});

describe('a client that goes away', () => {
  test('in the middle of the mutation changes nothing: it commits, and a retry gets the answer', async () => {
    hold();
    const request = sendAndForget(service.url, {
      headers: [['idempotency-key', 'gone']],
      body: { query: PAY },
    });
    await reached.promise;
    const runs = service.runs();
    const socketClosed = new Promise((resolve) => request.on('close', resolve));
    request.destroy();
    await socketClosed;
    letGo();
    const retry = await eventually(async () => {
      const reply = await service.send({ key: 'gone' });
      return reply.code === 'IDEMPOTENCY_IN_PROGRESS' ? undefined : reply;
    });
    expect(retry.body.extensions.idempotency.pay.outcome).toBe('replayed');
    expect(service.runs()).toBe(runs);
  });
});

test('an operation that GraphQL refuses consumes no key', async () => {
  const key = 'refused-by-graphql';
  const syntax = await service.send({ key, query: 'mutation { pay(amount: 1' });
  const validation = await service.send({ key, query: 'mutation { pay(amount: "1") { id } }' });
  const variables = await service.send({ key, variables: { amount: 'x' } });
  expect([syntax, validation, variables].map(({ status }) => status)).toEqual([400, 400, 400]);
  const good = await service.send({ key });
  expect(good.body.extensions.idempotency.pay.outcome).toBe('executed');
});
