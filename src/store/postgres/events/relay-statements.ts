/** What relays and operators do with events that are there, with the schema filled in once. */

import type { DeadLetterFilter, FailedEvent, StoredEvent } from '../../outbox-port.ts';
import { quoteIdentifier } from '../quote-identifier.ts';
import { literal } from '../sql-literal.ts';

const NOW = '(select pg_catalog.clock_timestamp())';

/** An event that has gone, and in whose wake another may stand. */
export type Gone = Pick<StoredEvent, 'position' | 'orderingKey'>;

export function relayStatementsFor(schemaName: string, namespace: string) {
  const outbox = `${quoteIdentifier(schemaName)}.outbox`;
  const pause = `${quoteIdentifier(schemaName)}.outbox_pause`;
  const own = (row: string): string => `${row}.namespace = ${literal(namespace)}`;
  const among = (positions: readonly string[]): string =>
    `o.position in (${positions.map((position) => `${literal(position)}::bigint`).join(', ')})`;
  const heldBy = (token: string, positions: readonly string[]): string =>
    `${among(positions)} and o.claim = ${literal(token)}::uuid`;
  const dead = (filter: DeadLetterFilter): string => {
    const conditions = [own('o'), 'o.dead_at is not null'];
    if ('ids' in filter) {
      conditions.push(`o.event_id in (${filter.ids.map((id) => `${literal(id)}::uuid`).join(', ')})`);
    } else if (filter.topic !== undefined) conditions.push(`o.topic = ${literal(filter.topic)}`);
    return conditions.join(' and ');
  };
  /** Ready again, and not before others that were added since. */
  const ready = `available_at = ${NOW}, claim = null`;

  return Object.freeze({
    renew: (token: string, positions: readonly string[], leaseMs: number): string =>
      `update ${outbox} as o set available_at = ${NOW} + ${literal(leaseMs)} * interval '1 millisecond'
      where ${heldBy(token, positions)} returning o.position::text as position`,

    remove: (token: string, events: readonly StoredEvent[]): string =>
      `delete from ${outbox} as o where ${heldBy(token, positionsOf(events))}`,

    fail: (token: string, failed: readonly FailedEvent[]): string => {
      const rows = failed.map(({ event, error, retryInMs }) => {
        const retry =
          retryInMs === undefined ? 'null::double precision' : `${literal(retryInMs)}::double precision`;
        return `(${literal(event.position)}::bigint, ${literal(error)}, ${retry})`;
      });
      return `update ${outbox} as o set
          finished = o.finished + 1,
          last_error = f.error,
          claim = null,
          available_at = coalesce(${NOW} + f.retry_ms * interval '1 millisecond', 'infinity'),
          dead_at = case when f.retry_ms is null then ${NOW} end
        from (values ${rows.join(', ')}) as f(position, error, retry_ms)
        where o.position = f.position and o.claim = ${literal(token)}::uuid`;
    },

    release: (token: string, events: readonly StoredEvent[]): string =>
      `update ${outbox} as o set started = o.started - 1, ${ready} where ${heldBy(token, positionsOf(events))}`,

    /** All that a claim took of which nobody has heard: where they stand is not known. */
    takeBack: (token: string, leaseMs: number): string =>
      `update ${outbox} as o set started = o.started - 1, ${ready}
      where ${own('o')} and o.claim = ${literal(token)}::uuid
        and o.available_at > ${NOW} and o.available_at <= ${NOW} + ${literal(leaseMs)} * interval '1 millisecond'`,

    /**
     * After the removal, with a snapshot of its own: a claim that parks what comes next may have held that up. From
     * behind the first that has gone: one that was committed late may stand between it and the last.
     */
    wakeNext: (gone: readonly Gone[]): string | undefined => {
      const first = new Map<string, bigint>();
      for (const { orderingKey, position } of gone) {
        if (orderingKey === undefined) continue;
        const before = first.get(orderingKey);
        if (before === undefined || before > BigInt(position)) first.set(orderingKey, BigInt(position));
      }
      if (first.size === 0) return undefined;
      const keys = [...first].map(
        ([key, position]) => `(${literal(key)}, ${literal(String(position))}::bigint)`,
      );
      return `update ${outbox} as o set available_at = ${NOW}
        from (values ${keys.join(', ')}) as g(ordering_key, position) cross join lateral (
          select e.position from ${outbox} as e
          where ${own('e')} and e.ordering_key = g.ordering_key and e.position > g.position
          order by e.position limit 1
        ) as n
        where o.position = n.position and o.available_at = 'infinity' and o.dead_at is null`;
    },

    pause: (topic: string): string =>
      `insert into ${pause} (namespace, topic) values (${literal(namespace)}, ${literal(topic)})
      on conflict on constraint outbox_pause_pkey do nothing`,

    unpause: (topic: string): string =>
      `delete from ${pause} as p where ${own('p')} and p.topic = ${literal(topic)}`,

    /** After `unpause`, with a snapshot of its own. What stands behind another of its key is parked again. */
    wakeTopic: (topic: string): string =>
      `update ${outbox} as o set available_at = ${NOW}
      where ${own('o')} and o.topic = ${literal(topic)} and o.available_at = 'infinity' and o.dead_at is null`,

    deadLetters: (topic: string | undefined, after: string | undefined, limit: number): string =>
      `select o.position::text as position, o.event_id::text as event_id, o.topic, o.ordering_key, o.headers,
        pg_catalog.encode(o.payload, 'hex') as payload, o.finished, o.started - o.finished as crashes, o.last_error,
        extract(epoch from o.created_at)::double precision * 1000 as created_ms,
        extract(epoch from o.dead_at)::double precision * 1000 as died_ms
      from ${outbox} as o where ${dead({ topic })}
        ${after === undefined ? '' : `and o.position > ${literal(after)}::bigint`}
      order by o.position limit ${literal(limit)}`,

    redrive: (filter: DeadLetterFilter): string =>
      `update ${outbox} as o set ${ready}, dead_at = null, started = 0, finished = 0 where ${dead(filter)}`,

    placesOfDead: (filter: DeadLetterFilter, after: string, limit: number): string =>
      `select o.position::text as position, o.ordering_key from ${outbox} as o
      where ${dead(filter)} and o.position > ${literal(after)}::bigint order by o.position limit ${literal(limit)}`,

    discard: (events: readonly Pick<StoredEvent, 'position'>[]): string =>
      `delete from ${outbox} as o where ${among(positionsOf(events))} and o.dead_at is not null`,

    count: `select
        count(*) filter (where o.available_at <= ${NOW})::integer as ready,
        count(*) filter (where o.available_at > ${NOW} and o.available_at < 'infinity')::integer as waiting,
        count(*) filter (where o.available_at = 'infinity' and o.dead_at is null)::integer as parked,
        count(o.dead_at)::integer as dead,
        coalesce(extract(epoch from ${NOW} - min(o.created_at) filter (where o.dead_at is null)), 0)
          ::double precision * 1000 as lag_ms
      from ${outbox} as o where ${own('o')}`,
  });
}

function positionsOf(events: readonly Pick<StoredEvent, 'position'>[]): readonly string[] {
  return events.map(({ position }) => position);
}
