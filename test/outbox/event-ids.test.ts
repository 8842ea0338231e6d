/** An event is known by an id that stays the same over the attempts of one call. */

import type { CurrentAttempt } from 'graphql-idempotency';
import { beforeAll, describe, expect, test } from 'vitest';
import { eventIdOf } from '../../src/outbox/event-id.ts';
import { startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;

beforeAll(async () => {
  setting = await startOutboxCase();
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

test('the recipe never changes: consumers remember its results', () => {
  const identity = Buffer.alloc(32, 7);
  expect([
    eventIdOf({ identity, step: '', ordinal: 0 }),
    eventIdOf({ identity, step: '', ordinal: 1 }),
    eventIdOf({ identity, step: '1', ordinal: 0 }),
    eventIdOf({ identity, step: 'ship', ordinal: 12 }),
  ]).toMatchInlineSnapshot(`
    [
      "e4880bfa-44dd-8969-8539-cde22772c57c",
      "6c937609-8db7-8e57-9f86-82dcba4b353a",
      "baa75d6b-847c-88a4-b328-f178dff33027",
      "617dfec4-7303-816f-b274-b0fc608f347f",
    ]
  `);
});

test('it is a UUID of version 8', () => {
  for (let at = 0; at < 50; at += 1) {
    const id = eventIdOf({ identity: Buffer.alloc(32, at), step: 's', ordinal: at });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
});
