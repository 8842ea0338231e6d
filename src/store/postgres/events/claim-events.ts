/** The statement by which a relay takes events, and gets what nobody may take now out of its way. */

import type { EventClaim } from '../../outbox-port.ts';
import { quoteIdentifier } from '../quote-identifier.ts';
import { literal } from '../sql-literal.ts';

/**
 * Goes before it, in the same transaction. The plans must be those that read no more than they take: a queue's
 * statistics are those of another moment, and a bitmap or a sort reads all that is ready. Not waiting for the disk,
 * because a claim that a crash of Postgres forgets is only made again, and costs the mutations' commits nothing.
 */
export const CLAIM_SETTINGS = `select ${[
  ['enable_seqscan', 'off'],
  ['enable_bitmapscan', 'off'],
  ['jit', 'off'],
  ['synchronous_commit', 'off'],
]
  .map(([name, value]) => `pg_catalog.set_config('${name}', '${value}', true)`)
  .join(', ')}`;

/** A row of its answer. */
export interface ClaimEventRow {
  readonly kind: 'claimed' | 'buried' | 'parked' | 'done';
  readonly position: string | null;
  readonly event_id: string | null;
  readonly topic: string | null;
  readonly ordering_key: string | null;
  readonly headers: string | null;
  readonly payload: string | null;
  readonly created_ms: number | null;
  readonly finished: number | null;
  /** Of `buried`: relays that were silenced. Of `parked`: how many. Of `done`: whether the bytes left some, as 0 or 1. */
  readonly count: number | null;
  /** Of `done`. */
  readonly done_ms: number | null;
}

/**
 * Reads the ready events that have waited longest, as many as are wanted, and decides about each:
 *
 * - It goes along with the claim if it has no key or is the first of its key; those behind it go along with it. Those
 *   that no bytes are left for stay as they are, with all that follow: the first always goes.
 * - It is parked if it stands behind another of its key, or its topic is paused. Were it not, a key or a topic that
 *   stands still would fill every claim with events that must not be taken.
 * - One that has silenced as many relays as the limit goes alone; if it did so even alone, it is buried.
 *
 * Who stands in front is looked for from behind: what has gone lies at the front, and is still passed by as long as
 * somebody's snapshot is old.
 *
 * What it is parked for is locked `for key share` first: whoever removes that waits for this transaction, and only
 * then looks for what is parked. Otherwise it would miss this row, which would be parked for nobody. It is the very
 * next in front that is locked, or it is not parked: an event further in front would be removed, wake the one that is
 * between them, and leave this one to whoever is just removing that, and has looked already.
 */
export function claimEvents(schemaName: string, namespace: string, claim: EventClaim): string {
  const schema = quoteIdentifier(schemaName);
  const outbox = `${schema}.outbox`;
  const { token, limit, maxBytes, leaseMs, crashLimit, sinceMs, topics } = claim;
  const own = (row: string): string => `${row}.namespace = ${literal(namespace)}`;
  const wanted = (row: string): string =>
    topics === undefined ? 'true' : `${row}.topic in (${topics.map(literal).join(', ')})`;
  const now = '(select m.now from moment as m)';
  // Their lengths alone: what is stored out of line is not read for it.
  const bytes = (row: string): string =>
    `pg_catalog.octet_length(${row}.payload) + pg_catalog.octet_length(${row}.headers) as bytes`;
  const since =
    sinceMs === undefined ? '' : `and o.available_at >= pg_catalog.to_timestamp(${literal(sinceMs / 1000)})`;

  return `with moment as materialized (
      select pg_catalog.clock_timestamp() as now
    ), pause as materialized (
      select p.topic from ${schema}.outbox_pause as p where ${own('p')} for key share skip locked
    ), ready as materialized (
      select o.position, o.available_at, o.ordering_key, o.topic, o.started - o.finished as silenced, ${bytes('o')}
      from ${outbox} as o
      where ${own('o')} and o.available_at <= ${now} ${since} and ${wanted('o')}
        and not exists (select from pause as p where p.topic = '')
      order by o.available_at, o.position limit ${literal(limit)} for update skip locked
    ), placed as materialized (
      select r.*,
        pg_catalog.row_number() over (order by r.available_at, r.position) as place,
        r.topic in (select p.topic from pause as p) as is_paused,
        case when r.ordering_key is not null then (
          select e.position from ${outbox} as e
          where ${own('e')} and e.ordering_key = r.ordering_key and e.position < r.position
          order by e.position desc limit 1
        ) end as behind
      from ready as r
    ), first as materialized (
      select p.*, min(p.place) over () as first_place
      from placed as p where not p.is_paused and p.behind is null and p.silenced <= ${literal(crashLimit)}
    ), head as materialized (
      select f.position, f.ordering_key, f.place,
        f.place = f.first_place or sum(f.bytes) over (order by f.place) <= ${literal(maxBytes)} as fits,
        (${literal(limit)} - count(*) over ()) / count(*) over () as room,
        (${literal(maxBytes)} - sum(f.bytes) over ()) / count(*) over () as room_for_bytes
      from first as f
      where case when (select a.silenced from first as a where a.place = a.first_place) = ${literal(crashLimit)}
        then f.place = f.first_place else f.silenced < ${literal(crashLimit)} end
    ), chain as materialized (
      select c.position, c.ordering_key, h.place, c.at, c.bytes_so_far <= h.room_for_bytes as fits
      from head as h cross join lateral (
        select n.position, n.ordering_key, n.at,
          bool_and(n.is_free) over (order by n.at) as is_free, sum(n.bytes) over (order by n.at) as bytes_so_far
        from (
          select e.position, e.ordering_key, pg_catalog.row_number() over (order by e.position) as at, ${bytes('e')},
            (e.available_at <= ${now} or e.available_at = 'infinity' and e.dead_at is null)
              and e.started - e.finished < ${literal(crashLimit)}
              and ${wanted('e')} and e.topic not in (select p.topic from pause as p) as is_free
          from ${outbox} as e
          where ${own('e')} and e.ordering_key = h.ordering_key and e.position > h.position
          order by e.position limit h.room
        ) as n
      ) as c
      where c.is_free and h.ordering_key is not null and not exists (
        select from first as a where a.place = a.first_place and a.silenced = ${literal(crashLimit)}
      )
    ), locked as materialized (
      select o.position from ${outbox} as o
      where o.position in (select c.position from chain as c where c.fits) for update skip locked
    ), following as materialized (
      select c.position, c.place, bool_and(c.is_locked) over (partition by c.ordering_key order by c.at) as is_next
      from (
        select c.*, c.position in (select l.position from locked as l) as is_locked from chain as c
      ) as c
    ), chosen as materialized (
      select c.position, pg_catalog.row_number() over (order by c.place, c.position) as place from (
        select h.position, h.place from head as h where h.fits
        union all
        select f.position, f.place from following as f where f.is_next
      ) as c
    ), claimed as (
      update ${outbox} as o set
        available_at = ${now} + ${literal(leaseMs)} * interval '1 millisecond',
        claim = ${literal(token)}::uuid,
        started = o.started + 1
      from chosen as c
      where o.position = c.position
        and (o.available_at <= ${now} or o.available_at = 'infinity' and o.dead_at is null)
      returning c.place, o.position, o.event_id, o.topic, o.ordering_key, o.headers, o.payload, o.created_at, o.finished
    ), buried as (
      update ${outbox} as o set
        available_at = 'infinity',
        dead_at = ${now},
        claim = null,
        last_error = 'The relay died ' || p.silenced || ' times while publishing it.'
      from placed as p
      where o.position = p.position and not p.is_paused and p.behind is null and p.silenced > ${literal(crashLimit)}
      returning o.position, o.event_id, o.topic, p.silenced
    ), obstacle as materialized (
      select p.position from placed as p
      where p.is_paused and p.behind is null
      union all
      select p.position from placed as p cross join lateral (
        select e.position from ${outbox} as e where e.position = p.behind for key share skip locked
      ) as before
      where p.behind is not null and p.position not in (select c.position from chosen as c)
    ), parked as (
      update ${outbox} as o set available_at = 'infinity', claim = null
      from obstacle as b where o.position = b.position
      returning o.position
    )
    select 'claimed' as kind, c.position::text as position, c.event_id::text as event_id, c.topic, c.ordering_key,
      c.headers, pg_catalog.encode(c.payload, 'hex') as payload,
      extract(epoch from c.created_at)::double precision * 1000 as created_ms, c.finished,
      null::integer as count, null::double precision as done_ms, c.place
    from claimed as c
    union all
    select 'buried', null, b.event_id::text, b.topic, null, null, null, null, null, b.silenced, null, 0 from buried as b
    union all
    select 'parked', null, null, null, null, null, null, null, null, (select count(*)::integer from parked), null, 0
    union all
    select 'done', null, null, null, null, null, null, null, null,
      (exists (select from head as h where not h.fits)
        or exists (select from chain as c where not c.fits))::integer,
      case when exists (select from pause as p where p.topic = '') then null else extract(epoch from least(
        (select min(p.available_at) from placed as p
          where p.position not in (select c.position from claimed as c)
            and p.position not in (select b.position from buried as b)
            and p.position not in (select k.position from parked as k)),
        case when (select count(*) from ready) < ${literal(limit)} then ${now}
          else (select max(r.available_at) from ready as r) end
      ))::double precision * 1000 end, 0
    order by place`;
}
