/**
 * Any number of clients in one attempt, at work at the same time: either the attempt is refused, or it leaves
 * exactly what each of them was told.
 */

import fc from 'fast-check';
import type { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';

let service: Service;
let pool: Pool;
let act: (call: PayCall) => unknown;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  ({ pool } = service.idempotency);
  await pool.query('create table written (id integer primary key)');
});
afterAll(() => service.stop());

type Action = 'insert' | 'fail' | 'begin' | 'commit' | 'rollback' | 'alone' | 'explicit' | 'turn';
interface Worker {
  /** `nested`: what the next worker does is done, and awaited, in the middle of this one. */
  readonly nested: boolean;
  readonly actions: readonly Action[];
}

const action = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Action>('insert') },
  { weight: 3, arbitrary: fc.constantFrom<Action>('begin', 'commit', 'rollback') },
  { weight: 2, arbitrary: fc.constantFrom<Action>('alone', 'explicit', 'turn') },
  { weight: 1, arbitrary: fc.constant<Action>('fail') },
);
const workers = fc.array(
  fc.record({ nested: fc.boolean(), actions: fc.array(action, { minLength: 1, maxLength: 8 }) }),
  { minLength: 1, maxLength: 4 },
);

/** What a worker on a connection of its own would have left, by the answers that it was given. */
class Ledger {
  readonly kept = new Set<number>();
  #next = 0;

  id(): number {
    return (this.#next += 1);
  }
}

async function work(
  [worker, ...others]: readonly Worker[],
  ledger: Ledger,
  tx: PayCall['tx'],
  all: Promise<void>[],
): Promise<void> {
  if (worker === undefined) return;
  if (!worker.nested) all.push(work(others, ledger, tx, all));
  const client = await pool.connect();
  // Ids that were written in the open transactions of this client, the innermost last.
  const open: number[][] = [];
  let failed = false;
  const insert = (id: number): [string, number[]] => ['insert into written (id) values ($1)', [id]];
  const step = async (taken: Action): Promise<void> => {
    const id = ledger.id();
    switch (taken) {
      case 'turn':
        return new Promise((resolve) => setImmediate(resolve));
      case 'alone':
        await pool.query(...insert(id));
        ledger.kept.add(id);
        return undefined;
      case 'explicit':
        await tx.query(...insert(id));
        ledger.kept.add(id);
        return undefined;
      case 'insert':
        await client.query(...insert(id));
        if (open.length > 0) open.at(-1)!.push(id);
        else ledger.kept.add(id);
        return undefined;
      case 'fail':
        // Outside a transaction of its own it fails the attempt: not what is asked here.
        if (open.length === 0) return undefined;
        await client.query('select 1 / 0').catch(() => {});
        failed = true;
        return undefined;
      case 'begin':
        if (open.length > 0) return undefined;
        await client.query('begin');
        open.push([]);
        return undefined;
      case 'commit': {
        if (open.length === 0) return undefined;
        const { command } = await client.query('commit');
        const ids = open.pop()!;
        if (command === 'COMMIT') for (const kept of ids) ledger.kept.add(kept);
        failed = false;
        return undefined;
      }
      case 'rollback':
        if (open.length === 0) return undefined;
        await client.query('rollback');
        open.pop();
        failed = false;
        return undefined;
    }
  };
  const middle = Math.floor(worker.actions.length / 2);
  for (const [index, taken] of worker.actions.entries()) {
    if (worker.nested && index === middle) await work(others, ledger, tx, all);
    // A failed transaction takes nothing but its end.
    if (failed && taken !== 'commit' && taken !== 'rollback') continue;
    await step(taken);
  }
  if (open.length > 0) await step(failed ? 'rollback' : 'commit');
  client.release();
}

test('what clients do side by side and within each other stays as each was told, or nothing does', async () => {
  let run = 0;
  let committed = 0;
  await fc.assert(
    fc.asyncProperty(workers, async (drawn) => {
      await pool.query('truncate written');
      const ledger = new Ledger();
      act = async ({ tx }) => {
        const all: Promise<void>[] = [];
        all.push(work(drawn, ledger, tx, all));
        for (let index = 0; index < all.length; index += 1) await all[index];
        return { id: '1', amount: 1 };
      };
      const { body, code } = await service.send({ key: `run-${(run += 1)}` });
      const { rows } = await pool.query<{ id: number }>('select id from written order by id');
      const found = rows.map(({ id }) => id);
      if (code === undefined) {
        committed += 1;
        expect(body.errors).toBeUndefined();
        expect(found).toEqual([...ledger.kept].sort((a, b) => a - b));
      } else {
        expect(code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
        expect(found).toEqual([]);
      }
    }),
    { numRuns: 200 },
  );
  // Refusing everything would pass, too.
  expect(committed).toBeGreaterThan(80);
}, 120_000);
