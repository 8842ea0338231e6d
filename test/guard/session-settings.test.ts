/** What a resolver sets for its session, by forgetting LOCAL. */

import { expect, test } from 'vitest';
import { startSums } from './sums.ts';

test.each(['set search_path = elsewhere, public', 'set session role nobody_else', 'set work_mem = 12345'])(
  '%s: the next caller gets a connection as new',
  async (statement) => {
    const sums = await startSums({ poolSize: 1 });
    const pid = async (info: Parameters<typeof sums.during>[0]): Promise<unknown> => {
      const { rows } = await sums.idempotency.current(info).tx.query('select pg_backend_pid() as pid');
      return rows[0]!['pid'];
    };
    const pids: unknown[] = [];
    await sums.sql('create schema elsewhere');
    if (statement.includes('nobody_else')) {
      await sums.sql(
        `do $$ begin create role nobody_else; exception when duplicate_object then null; end $$`,
      );
      await sums.sql(
        'grant all on schema public to nobody_else; grant all on all tables in schema public to nobody_else',
      );
    }
    sums.during = async (info, n) => {
      pids.push(await pid(info));
      await sums.write(info, n);
      if (pids.length === 1) await sums.idempotency.current(info).tx.query(statement);
    };
    expect((await sums.add('one')).errors).toBeUndefined();
    expect((await sums.add('two')).errors).toBeUndefined();
    expect((await sums.add('three')).errors).toBeUndefined();
    expect(pids[1]).not.toBe(pids[0]);
    expect(pids[2]).toBe(pids[1]);
    expect(await sums.rows()).toEqual([1, 1, 1]);
  },
);
