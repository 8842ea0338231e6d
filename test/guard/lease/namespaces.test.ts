/** Services that share a schema under namespaces of their own do not settle each other's attempts. */

import { expect, test } from 'vitest';
import { raise, startLeases } from './leases.ts';

test('recovery, the list of abandoned attempts and resolve keep to their own namespace', async () => {
  const owner = await startLeases({ namespace: 'shop' });
  owner.during = async ({ step }) => {
    await step('pay', () => 'secret of the shop');
    return raise(new Error('crash'));
  };
  const offered: string[] = [];
  const other = await startLeases({
    beside: owner,
    namespace: 'blog',
    recover: {
      'Mutation.refuse': ({ identity }) => {
        // It has never heard of the key: at its own provider nothing has happened.
        offered.push(identity);
        return { outcome: 'not-executed' };
      },
    },
  });
  expect((await owner.call('refuse', 'a')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  const [abandoned] = await owner.idempotency.abandoned();
  expect(abandoned?.steps).toMatchObject([{ name: 'pay', value: 'secret of the shop' }]);

  expect(await other.idempotency.abandoned()).toEqual([]);
  expect(await other.idempotency.recover()).toEqual({ offered: 0, completed: 0, notExecuted: 0, unknown: 0 });
  expect(offered).toEqual([]);
  const settled = { outcome: 'not-executed' } as const;
  expect(await other.idempotency.resolve(abandoned!.identity, settled)).toBe('not-abandoned');
  expect((await owner.call('refuse', 'a')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(owner.counts.runs).toBe(1);
  expect(await owner.idempotency.resolve(abandoned!.identity, settled)).toBe('resolved');
});

test('a key that another mode has left behind is claimed for its own namespace', async () => {
  const service = await startLeases({ namespace: 'shop', ttl: 40_000, lease: 3000 });
  await service.call('plain', 'b');
  await service.sql(
    `update graphql_idempotency.record set expires_at = clock_timestamp(), takeover_after = clock_timestamp()`,
  );
  service.during = () => raise(new Error('crash'));
  expect((await service.call('refuse', 'b')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(await service.idempotency.abandoned()).toMatchObject([{ coordinate: 'Mutation.refuse' }]);
});
