/** What an event costs its mutation, counted on the wire: nothing but the insertion, in the message that commits. */

import type { GraphQLResolveInfo } from 'graphql';
import { describe, expect, test } from 'vitest';
import { startProxied } from './proxied-service.ts';
import type { ProxiedOptions, ProxiedService } from './proxied-service.ts';

/** Starts the service; its `pay` adds that many events. */
async function startWith(events: number, savepoint = false): Promise<ProxiedService> {
  let proxied: ProxiedService | undefined;
  const pay: ProxiedOptions['pay'] = async ({ tx, insert, info }) => {
    const add = (): void => {
      const { outbox } = proxied!.service.idempotency.current(info);
      outbox.add({ topic: 'paid', payload: { cents: 100 } });
    };
    if (proxied !== undefined) for (let at = 0; at < events; at += 1) add();
    if (savepoint) await tx.query('savepoint a');
    return insert();
  };
  proxied = await startProxied({ redis: false, pay });
  return proxied;
}

const costOf = async ({ service, postgres }: ProxiedService, key: string) => {
  postgres.reset();
  expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('executed');
  return postgres.counts();
};

describe('a mutation with events', () => {
  test.each([1, 5])(
    'takes no more round trips, commits or connections with %i of them than with none',
    async (count) => {
      const [without, withEvents] = [await startWith(0), await startWith(count)];
      const [expected, counted] = [await costOf(without, 'a'), await costOf(withEvents, 'a')];
      const trips = ({ roundTrips, commits, rollbacks, autocommits, connections }: typeof counted) => ({
        roundTrips,
        commits,
        rollbacks,
        autocommits,
        connections,
      });
      expect(trips(counted)).toEqual(trips(expected));
      expect(counted.roundTrips).toBe(3);
      // All of them in the message of record and COMMIT.
      expect(counted.statements).toHaveLength(expected.statements.length);
      const last = counted.statements.at(-1)!;
      expect(last.match(/"graphql_idempotency"\.add_event\(/g)).toHaveLength(count);
      expect(last).toMatch(/\.complete\([^;]*;\s*commit$/);
    },
  );

  test('and a savepoint takes one message more, however many were added before it', async () => {
    const [without, withEvents] = [await startWith(0, true), await startWith(3, true)];
    const [expected, counted] = [await costOf(without, 'a'), await costOf(withEvents, 'a')];
    expect(counted.roundTrips).toBe(expected.roundTrips + 1);
  });
});

test('a call without a key takes no more round trips with an event than without', async () => {
  let add = false;
  const { service, postgres } = await startProxied({
    redis: false,
    typeDefs: 'extend type Mutation { loose: Int @idempotent(required: false) }',
    resolvers: (idempotency) => ({
      Mutation: {
        loose: (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) => {
          if (add) idempotency.current(info).outbox.add({ topic: 't', payload: 1 });
          return 1;
        },
      },
    }),
  });
  const trips: number[] = [];
  for (const adding of [false, true]) {
    add = adding;
    postgres.reset();
    expect((await service.send({ query: 'mutation { loose }' })).body.data).toEqual({ loose: 1 });
    trips.push(postgres.counts().roundTrips);
  }
  expect(trips).toEqual([2, 2]);
});
