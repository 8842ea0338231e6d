/** Whoever settles an attempt is told the truth when the store does not answer. */

import { beforeAll, expect, test } from 'vitest';
import type { Recovery } from 'graphql-idempotency';
import { raise, startLeases } from './leases.ts';
import type { Leases } from './leases.ts';

let leases: Leases;
beforeAll(async () => {
  leases = await startLeases({ lease: 2500, renewInterval: 100, probeTimeout: 500 });
});

test.each<readonly [string, Recovery]>([
  ['completed', { outcome: 'completed', result: 1 }],
  ['not-executed', { outcome: 'not-executed' }],
  ['unknown', { outcome: 'unknown' }],
])('resolve does not say that nothing was changed when it is not known: %s', async (name, recovery) => {
  leases.during = () => raise(new Error('crash'));
  await leases.call('refuse', name);
  const identity = leases.identity(name).toString('hex');
  await leases.sql(`
    create function full_disk() returns trigger language plpgsql as $$
      begin
        if tg_op = 'UPDATE' and new.fence is distinct from old.fence then return new; end if;
        raise disk_full;
      end $$;
    create trigger full_disk before update or delete on graphql_idempotency.record
      for each row execute function full_disk()`);
  try {
    await expect(leases.idempotency.resolve(identity, recovery)).rejects.toThrow('It is not known');
  } finally {
    await leases.sql('drop function full_disk cascade');
  }
  // It holds a lease that nobody renews any more.
  await leases.lapse(name);
  expect(await leases.idempotency.resolve(identity, recovery)).toBe('resolved');
});
