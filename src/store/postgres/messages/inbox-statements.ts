/** What consumers and operators ask of the messages that could not be handled, with the schema filled in once. */

import type { DeadMessageFilter, FailingMessage, MessageFailure } from '../../inbox-port.ts';
import { quoteIdentifier } from '../quote-identifier.ts';
import { literal } from '../sql-literal.ts';

const fingerprintOf = (fingerprint: Buffer | undefined): string =>
  fingerprint === undefined ? 'null' : literal(fingerprint);

const NOW = '(select pg_catalog.clock_timestamp())';

// A statement's return type says more than could be said again.
// oxlint-disable-next-line typescript/explicit-function-return-type
export function inboxStatementsFor(schemaName: string, namespace: string) {
  const failure = `${quoteIdentifier(schemaName)}.inbox_failure`;
  /** Where the dead letter is another message of this id, this one is not kept, and has to come again. */
  const isKept = ({ fingerprint }: FailingMessage): string =>
    `f.fingerprint is not distinct from ${fingerprintOf(fingerprint)}`;
  const columns = `identity, fingerprint, namespace, consumer, message_id, codec_version, message, started, finished, last_error, dead_at`;
  const values = ({
    identity,
    fingerprint,
    consumer,
    messageId,
    codecVersion,
    body,
  }: FailingMessage): string =>
    [
      literal(identity),
      fingerprintOf(fingerprint),
      literal(namespace),
      literal(consumer),
      literal(messageId),
      `${literal(codecVersion)}::smallint`,
      literal(body),
    ].join(', ');
  /** Until it is a dead letter: whose broker was told so must be the one that is kept. */
  const keepLatest = ['fingerprint', 'codec_version', 'message']
    .map((name) => `${name} = case when f.dead_at is null then excluded.${name} else f.${name} end`)
    .join(', ');
  const chosen = (filter: DeadMessageFilter): string => {
    const conditions = [`f.namespace = ${literal(namespace)}`, 'f.dead_at is not null'];
    if ('identities' in filter) {
      conditions.push(`f.identity in (${filter.identities.map((identity) => literal(identity)).join(', ')})`);
    } else if (filter.consumer !== undefined) conditions.push(`f.consumer = ${literal(filter.consumer)}`);
    return conditions.join(' and ');
  };
  const one = (identity: Buffer): string => `f.identity = ${literal(identity)}`;

  return Object.freeze({
    /** Those that are noted already and have not ended are the ones that were never heard of again. */
    begin: (message: FailingMessage, crashLimit: number): string =>
      `insert into ${failure} as f (${columns}) values (${values(message)}, 1, 0, null, null)
      on conflict on constraint inbox_failure_pkey do update set
        started = f.started + case when f.started - f.finished >= ${literal(crashLimit)} then 0 else 1 end,
        last_at = ${NOW},
        last_error = case when f.started - f.finished >= ${literal(crashLimit)}
          then 'The consumer died ' || (f.started - f.finished) || ' times while handling it.' else f.last_error end,
        dead_at = case when f.started - f.finished >= ${literal(crashLimit)}
          then coalesce(f.dead_at, ${NOW}) else f.dead_at end,
        ${keepLatest}
      returning f.finished as failures, f.started - f.finished as crashes,
        f.started - f.finished >= ${literal(crashLimit)} and f.dead_at is not null
          and ${isKept(message)} as is_dead`,

    giveBack: (identity: Buffer): string =>
      `update ${failure} as f set started = f.started - 1 where ${one(identity)} and f.started > f.finished`,

    fail: (message: FailingMessage, { error, begun, maxFailures }: MessageFailure): string =>
      `insert into ${failure} as f (${columns})
      values (${values(message)}, 1, 1, ${literal(error)}, ${maxFailures <= 1 ? NOW : 'null'})
      on conflict on constraint inbox_failure_pkey do update set
        started = greatest(f.started + ${begun ? '0' : '1'}, f.finished + 1),
        finished = f.finished + 1,
        last_at = ${NOW},
        last_error = excluded.last_error,
        dead_at = case when f.finished + 1 >= ${literal(maxFailures)} then coalesce(f.dead_at, ${NOW}) else f.dead_at end,
        ${keepLatest}
      returning f.finished as failures, f.started - f.finished as crashes,
        f.dead_at is not null and ${isKept(message)} as is_dead`,

    /** Of messages that never came again, though they were to: their queue was purged, or their broker has lost them. */
    sweep: (ttlMs: number, batchSize: number): string =>
      `with due as (
        select f.identity from ${failure} as f
        where f.namespace = ${literal(namespace)} and f.dead_at is null
          and f.last_at < ${NOW} - ${literal(ttlMs)}::bigint * interval '1 millisecond'
        order by f.last_at limit ${literal(batchSize)} for update skip locked
      )
      delete from ${failure} as f using due where f.identity = due.identity`,

    forget: (message: FailingMessage): string =>
      `delete from ${failure} as f where ${one(message.identity)} and (f.dead_at is null or ${isKept(message)})`,

    dead: (filter: DeadMessageFilter, after: string | undefined, limit: number): string =>
      `select f.position::text as position, pg_catalog.encode(f.identity, 'hex') as identity, f.consumer, f.message_id,
        f.codec_version, pg_catalog.encode(f.message, 'hex') as message,
        f.finished as failures, f.started - f.finished as crashes, f.last_error,
        extract(epoch from f.first_at)::double precision * 1000 as first_ms,
        extract(epoch from f.dead_at)::double precision * 1000 as died_ms
      from ${failure} as f where ${chosen(filter)}
        ${after === undefined ? '' : `and f.position > ${literal(after)}::bigint`}
      order by f.position limit ${literal(limit)}`,

    discard: (filter: DeadMessageFilter): string => `delete from ${failure} as f where ${chosen(filter)}`,
  });
}
