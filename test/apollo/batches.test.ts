/** HTTP batches: several operations that share one header and one response head. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Reply, Service } from '../support/service.ts';
import { deferred } from '../support/signal.ts';
import type { Deferred } from '../support/signal.ts';

let service: Service;
let held: Deferred<void> | undefined;
const holding = { reached: deferred() };
const ran: (string | null | undefined)[] = [];
let keys = 0;
const key = (): string => `batch-${(keys += 1)}`;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    pay: async ({ args, insert }) => {
      ran.push(args.note);
      if (args.note === 'held') {
        holding.reached.resolve();
        await held?.promise;
      }
      return insert();
    },
  });
});
beforeEach(() => void ran.splice(0));
afterAll(() => service.stop());

interface Entry {
  readonly own?: string;
  readonly extension?: string;
  readonly note?: string;
  readonly amount?: number;
}

function entry({ own, extension, note = 'n', amount = 1 }: Entry): object {
  const directive = own === undefined ? '' : `@idempotent(key: "${own}")`;
  return {
    query: `mutation { pay(amount: ${amount}, note: "${note}") ${directive} { id note } }`,
    ...(extension === undefined ? {} : { extensions: { idempotencyKey: extension } }),
  };
}

const codes = (reply: Reply): (string | undefined)[] =>
  reply.body.map(
    (answer: { errors?: { extensions: { code: string } }[] }) => answer.errors?.[0]?.extensions.code,
  );
const outcomes = (reply: Reply): unknown[] =>
  reply.body.map(
    (answer: { extensions?: { idempotency: { pay: { outcome: string } } } }) =>
      answer.extensions?.idempotency.pay.outcome,
  );

describe('a key that entries share', () => {
  test('in the header is for none of them, and nothing runs', async () => {
    const reply = await service.post([entry({ note: 'a' }), entry({ note: 'b' })], {
      'idempotency-key': key(),
    });
    expect(reply.status).toBe(400);
    expect(codes(reply)).toEqual(['IDEMPOTENCY_KEY_AMBIGUOUS', 'IDEMPOTENCY_KEY_AMBIGUOUS']);
    for (const answer of reply.body) expect(Object.keys(answer)).toEqual(['errors']);
    expect(ran).toEqual([]);
  });

  test('in the header is for none of them even where only one entry is guarded', async () => {
    const reply = await service.post([entry({}), { query: '{ ping }' }], { 'idempotency-key': key() });
    expect(reply.status).toBe(200);
    expect(codes(reply)).toEqual(['IDEMPOTENCY_KEY_AMBIGUOUS', undefined]);
    expect(reply.body[1].data).toEqual({ ping: 'pong' });
    expect(ran).toEqual([]);
  });

  test('in the extension is for none of them, and the others run', async () => {
    const shared = key();
    const reply = await service.post([
      entry({ extension: shared, note: 'a' }),
      entry({ extension: shared, note: 'b' }),
      entry({ extension: key(), note: 'c' }),
    ]);
    expect(codes(reply)).toEqual(['IDEMPOTENCY_KEY_AMBIGUOUS', 'IDEMPOTENCY_KEY_AMBIGUOUS', undefined]);
    expect(reply.status).toBe(200);
    expect(ran).toEqual(['c']);
  });

  test('in the header is refused beside own keys too', async () => {
    const reply = await service.post([entry({ own: key() }), entry({ own: key() })], {
      'idempotency-key': key(),
    });
    expect(codes(reply)).toEqual(['IDEMPOTENCY_KEY_AMBIGUOUS', 'IDEMPOTENCY_KEY_AMBIGUOUS']);
    expect(ran).toEqual([]);
  });

  test('in their directives is one key: one of them executes, the other learns that it does', async () => {
    const shared = key();
    held = deferred();
    holding.reached = deferred();
    const answering = service.post([
      entry({ own: shared, note: 'held' }),
      entry({ own: shared, note: 'held' }),
    ]);
    await holding.reached.promise;
    held.resolve();
    const reply = await answering;
    expect(new Set(codes(reply))).toEqual(new Set(['IDEMPOTENCY_IN_PROGRESS', undefined]));
    expect(reply.status).toBe(200);
    // There is data: nothing tells the client to send the whole batch again.
    expect(reply.headers.get('retry-after')).toBeNull();
    expect(ran).toEqual(['held']);
  });
});

test('a batch of one entry is an operation', async () => {
  const own = key();
  const first = await service.post([entry({})], { 'idempotency-key': own });
  const again = await service.post([entry({})], { 'idempotency-key': own });
  expect(outcomes(first)).toEqual(['executed']);
  expect(outcomes(again)).toEqual(['replayed']);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
});

describe('entries with keys of their own', () => {
  test('execute and replay each for itself', async () => {
    const batch = [entry({ own: key(), note: 'a' }), entry({ extension: key(), note: 'b' })];
    const first = await service.post(batch);
    const again = await service.post(batch);
    expect(outcomes(first)).toEqual(['executed', 'executed']);
    expect(outcomes(again)).toEqual(['replayed', 'replayed']);
    expect(again.body.map((answer: { data: unknown }) => answer.data)).toEqual(
      first.body.map((answer: { data: unknown }) => answer.data),
    );
    expect(ran).toHaveLength(2);
    expect(new Set(ran)).toEqual(new Set(['a', 'b']));
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });

  test('are a replay as a whole only if each of them is', async () => {
    const replayed = entry({ own: key() });
    await service.post(replayed);
    const orders = [
      [replayed, entry({ own: key() })],
      [entry({ own: key() }), replayed],
      [replayed, entry({ own: 'not good' })],
      [entry({ own: 'not good' }), replayed],
    ];
    for (const batch of orders) {
      const reply = await service.post(batch);
      expect(outcomes(reply)).toContain('replayed');
      expect(reply.headers.get('idempotent-replayed')).toBeNull();
    }
    const beside = await service.post([{ query: '{ ping }' }, replayed]);
    expect(beside.headers.get('idempotent-replayed')).toBe('true');
  });

  test.each([
    ['first', 0],
    ['last', 1],
  ])('keep their answers and 2xx where the %s is refused', async (_which, refused) => {
    const used = key();
    await service.post(entry({ own: used }));
    const batch = [entry({ own: key() }), entry({ own: key() })];
    batch[refused] = entry({ own: used, amount: 2 });
    const reply = await service.post(batch);
    expect(reply.status).toBe(200);
    expect(codes(reply)[refused]).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(codes(reply)[1 - refused]).toBeUndefined();
    expect(Object.keys(reply.body[refused])).toEqual(['errors']);
  });

  test('that are all refused give the response the highest status', async () => {
    const used = key();
    await service.post(entry({ own: used }));
    const batches = [
      [entry({ own: used, amount: 2 }), entry({})],
      [entry({}), entry({ own: used, amount: 2 })],
    ];
    for (const batch of batches) {
      const reply = await service.post(batch);
      expect(reply.status).toBe(422);
      expect(new Set(codes(reply))).toEqual(new Set(['IDEMPOTENCY_KEY_MISSING', 'IDEMPOTENCY_KEY_REUSED']));
    }
  });
});
