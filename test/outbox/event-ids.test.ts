/** An event is known by an id that stays the same over the attempts of one call, and is another's in its next execution. */

import type { CurrentAttempt } from 'graphql-idempotency';
import { beforeAll, describe, expect, test } from 'vitest';
import { eventIdOf, periodOf } from '../../src/outbox/event-id.ts';
import { eventually } from '../support/signal.ts';
import { codeOf } from '../guard/direct/calls.ts';
import { startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;

beforeAll(async () => {
  // One period until 2069: no two attempts here are in different ones.
  setting = await startOutboxCase({ ttl: 'P36500D' });
});

const add = ({ outbox }: Pick<CurrentAttempt, 'outbox'>): string => outbox.add({ topic: 't', payload: 1 });

test('an attempt that failed and the one that succeeds give their events the same ids', async () => {
  const call = { scope: 'alice', key: 'a' };
  const failed: string[] = [];
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const run = setting.idempotency.guard(call, (current) => {
      failed.push(add(current), add(current));
      throw new Error('no');
    });
    await expect(run).rejects.toThrow('no');
  }
  const { value } = await setting.idempotency.guard(call, (current) => [add(current), add(current)]);
  expect(failed).toEqual([...value, ...value]);
  expect(new Set(value).size).toBe(2);
  expect((await setting.rows()).map(({ event_id: id }) => id)).toEqual(value);
});

test('what was refused counts for nothing', async () => {
  const ids: string[] = [];
  for (const payload of [Number.NaN, undefined]) {
    const run = setting.idempotency.guard({ scope: 'alice', key: 'refused' }, (current) => {
      if (payload !== undefined) expect(() => current.outbox.add({ topic: 't', payload })).toThrow(TypeError);
      ids.push(add(current));
      if (payload !== undefined) throw new Error('again');
    });
    await run.catch(() => {});
  }
  expect(ids[0]).toBe(ids[1]);
});

test('keys, scopes and namespaces tell events apart', async () => {
  const other = await startOutboxCase({ beside: setting, namespace: 'other' });
  const ids: string[] = [];
  for (const { idempotency } of [setting, other]) {
    for (const scope of ['bob', 'carol']) {
      for (const key of ['a', 'b']) {
        await idempotency.guard({ scope, key }, (current) => void ids.push(add(current)));
      }
    }
  }
  expect(new Set(ids).size).toBe(8);
});

describe('in steps', () => {
  const steps = async ({ step }: CurrentAttempt, ids: string[], until: number): Promise<void> => {
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      await step.transaction(name, (_tx, call) => {
        ids.push(add(call), add(call));
        if (index === until) throw new Error('interrupted');
      });
    }
  };

  test('a rerun gives the events of a step the ids that they had, and adds none twice', async () => {
    const call = { scope: 'alice', key: 'steps', mode: 'LEASE', abandoned: 'RERUN' } as const;
    const first: string[] = [];
    await setting.idempotency.guard(call, (current) => steps(current, first, 1)).catch(() => {});
    const second: string[] = [];
    await setting.idempotency.guard(call, (current) => steps(current, second, -1));
    expect(second.slice(0, 2)).toEqual(first.slice(2));
    expect(new Set([...first, ...second]).size).toBe(6);
    const kept = (await setting.rows())
      .map(({ event_id: id }) => id)
      .filter((id) => [...first, ...second].includes(id));
    expect(kept).toEqual([...first.slice(0, 2), ...second]);
  });
});

describe('a key that is executed anew, when its record has expired', () => {
  const DAY_MS = 86_400_000;

  test('is in another period of its retention: the record has lasted for a whole one', () => {
    for (const begunMs of [0, 1, DAY_MS - 1, DAY_MS, 1_795_360_000_000, 1_795_360_413_501.156]) {
      for (const tookMs of [0, 1, 30_000]) {
        expect(periodOf(begunMs + tookMs + DAY_MS, DAY_MS)).not.toBe(periodOf(begunMs, DAY_MS));
      }
    }
  });

  test('is in another one as well where its `ttl` was changed, and the numbers happen to be the same', () => {
    expect(periodOf(10.5 * DAY_MS, DAY_MS)).not.toBe(periodOf(21 * DAY_MS, 2 * DAY_MS));
  });

  test('commits events of its own, although those of before are dead letters', async () => {
    const ttl = 2500;
    const short = await startOutboxCase({ transactionTimeout: 2400, lease: 2400, claimTimeout: 2300, ttl });
    const execute = async (): Promise<string[]> => {
      const ids: string[] = [];
      await short.idempotency.guard({ scope: 'alice', key: 'a' }, (current) => void ids.push(add(current)));
      await short.idempotency.guard({ scope: 'alice', key: 'b', mode: 'LEASE' }, ({ step }) =>
        step.transaction('s', (_tx, call) => void ids.push(add(call))),
      );
      return ids;
    };
    const relay = short.relay({
      maxAttempts: 1,
      publish: () => {
        throw new Error('no');
      },
    });
    const first = await execute();
    await relay.drain();
    expect((await short.rows()).map(({ state }) => state)).toEqual(['dead', 'dead']);
    await eventually(async () => {
      const [row] = await short.sql<{ expired: boolean }>(
        'select bool_and(takeover_after <= clock_timestamp()) as expired from graphql_idempotency.record',
      );
      return row!.expired;
    });
    const second = await execute();
    expect(new Set([...first, ...second]).size).toBe(4);
    expect((await short.rows()).map(({ event_id: id }) => id)).toEqual([...first, ...second]);
  });

  test('an id that is there twice all the same is an error, and commits nothing', async () => {
    const call = { scope: 'alice', key: 'twice' };
    const [id] = (await setting.idempotency.guard(call, (current) => [add(current)])).value;
    const before = await setting.rows();
    await setting.sql(`delete from graphql_idempotency.record where coordinate = 'guard'`);
    const codes = await codeOf(setting.idempotency.guard(call, add));
    expect(codes).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(await setting.rows()).toEqual(before);
    expect(before.some(({ event_id: known }) => known === id)).toBe(true);
  });
});

test('the recipe never changes: consumers remember its results', () => {
  const identity = Buffer.alloc(32, 7);
  expect([
    eventIdOf({ identity, period: '', step: '', ordinal: 0 }),
    eventIdOf({ identity, period: '', step: '', ordinal: 1 }),
    eventIdOf({ identity, period: '', step: '1', ordinal: 0 }),
    eventIdOf({ identity, period: periodOf(1_795_360_413_501.156, 86_400_000), step: '', ordinal: 0 }),
    eventIdOf({ identity, period: periodOf(1_795_360_413_501.156, 2500), step: 'ship', ordinal: 12 }),
  ]).toMatchInlineSnapshot(`
    [
      "055d2950-38db-8380-9a69-a17f018f274e",
      "28dd6fab-eb62-8b23-b919-ef55f7bba03a",
      "90601804-4056-848b-bdfc-bcaf769a33f8",
      "6e480da0-8b11-8b8c-9863-9cc052796127",
      "2cf17770-1f06-8b7a-a806-55e67ebefc35",
    ]
  `);
});

test('it is a UUID of version 8', () => {
  for (let at = 0; at < 50; at += 1) {
    const id = eventIdOf({ identity: Buffer.alloc(32, at), period: '', step: 's', ordinal: at });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
});
