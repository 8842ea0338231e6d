/** The statements of lease mode, with the schema filled in once. Each is atomic by itself. */

import type { Fence } from '../../record/record.ts';
import type { AbandonedQuery, LeaseTerms, Outcome, RecordedStep, Takeover } from '../lease-port.ts';
import { prepared } from './prepared.ts';
import type { PreparedStatement } from './prepared.ts';
import { quoteIdentifier } from './quote-identifier.ts';
import { literal } from './sql-literal.ts';
import { lockOf } from './statements.ts';

/** Who holds what. */
export interface Holder {
  readonly identity: Buffer;
  readonly fence: Fence;
}

/** A call of one of the functions: prepared with its values, or as a text of its own. */
export interface FunctionCall {
  readonly statement: PreparedStatement;
  readonly values: readonly Value[];
  readonly text: string;
}

type Value = string | number | Buffer | undefined;

export type LeaseStatements = ReturnType<typeof leaseStatementsFor>;

/** `namespace`: of this service, among those that share the schema. It must not see what others have abandoned. */
export function leaseStatementsFor(schemaName: string, lockTimeoutMs: number, namespace: string) {
  const schema = quoteIdentifier(schemaName);
  const functionOf = (name: string, arity: number): ((values: readonly Value[]) => FunctionCall) => {
    const places = Array.from({ length: arity }, (_, at) => `$${at + 1}`);
    const statement = prepared(`select * from ${schema}.${name}(${places.join(', ')})`);
    return (values) => ({
      statement,
      values,
      get text() {
        const literals = values.map((value) => (value === undefined ? 'null' : literal(value)));
        return `select * from ${schema}.${name}(${literals.join(', ')})`;
      },
    });
  };
  const claim = functionOf('claim_lease', 12);
  const recordStep = functionOf('record_step', 9);
  const complete = functionOf('complete_lease', 7);
  const release = functionOf('release_lease', 4);
  const heldBy = ({ identity, fence }: Holder): string =>
    `r.identity = ${literal(identity)} and r.fence = ${literal(fence)} and r.state = 'pending'`;
  const leaseEnd = (leaseMs: number): string =>
    `clock_timestamp() + ${literal(leaseMs)} * interval '1 millisecond'`;

  return Object.freeze({
    claim: (fence: Fence, terms: LeaseTerms): FunctionCall =>
      claim([
        terms.identity,
        lockOf(terms.identity),
        fence,
        terms.leaseMs,
        lockTimeoutMs,
        terms.scopeHash,
        namespace,
        terms.coordinate,
        terms.fingerprintVersion,
        terms.fingerprint,
        terms.ttlMs,
        terms.tombstoneTtlMs,
      ]),

    /**
     * Goes before each write that is not a function, which sets these itself: a session must not wait for a row
     * when nobody waits for its answer any more, and a takeover that a crash of Postgres may forget would be
     * made twice.
     */
    settings: `select pg_catalog.set_config('lock_timeout', ${literal(String(lockTimeoutMs))}, true),
      case when pg_catalog.current_setting('synchronous_commit') = 'off'
        then pg_catalog.set_config('synchronous_commit', 'on', true) end`,

    renew: (holder: Holder, leaseMs: number): string =>
      `update ${schema}.record as r set lease_until = ${leaseEnd(leaseMs)} where ${heldBy(holder)}`,

    /**
     * One compare-and-set by the fence that was seen: a holder that renewed or completed since, or another that
     * took over, makes it touch nothing.
     */
    takeOver: (fence: Fence, { identity, seen, leaseMs, rerun }: Takeover): string =>
      `update ${schema}.record as r set
        fence = ${literal(fence)},
        lease_until = ${leaseEnd(leaseMs)},
        state = 'pending',
        attempt = r.attempt + ${rerun ? 1 : 0},
        abandoned_at = ${rerun ? 'null' : 'coalesce(r.abandoned_at, r.lease_until)'}
      where r.identity = ${literal(identity)} and r.fence = ${literal(seen)}
        and (r.state = 'unknown' or r.state = 'pending' and r.lease_until <= clock_timestamp())
      returning r.attempt, r.coordinate, r.fingerprint_version, encode(r.fingerprint, 'hex') as fingerprint`,

    /** Sent after the takeover, with a snapshot of its own: the takeover may have waited for a step's commit. */
    steps: (identity: Buffer): string =>
      `select s.name, s.attempt, s.outcome::text as outcome, s.codec_version, encode(s.body, 'hex') as body
      from ${schema}.step as s where s.identity = ${literal(identity)} order by s.completed_at, s.name`,

    /** `marker`: of the transaction that this commits with; empty where it commits alone. */
    recordStep: (
      { identity, fence }: Holder,
      step: RecordedStep,
      marker: string,
      timeoutMs?: number,
    ): FunctionCall =>
      recordStep([
        marker,
        identity,
        fence,
        timeoutMs ?? lockTimeoutMs,
        step.name,
        step.attempt,
        step.outcome,
        step.codecVersion,
        step.body,
      ]),

    complete: ({ identity, fence }: Holder, outcome: Outcome, hasSteps: boolean): FunctionCall =>
      complete([
        identity,
        fence,
        lockTimeoutMs,
        outcome.outcome,
        outcome.codecVersion,
        outcome.body,
        String(hasSteps),
      ]),

    release: ({ identity, fence }: Holder, settled: boolean): FunctionCall =>
      release([identity, fence, lockTimeoutMs, String(settled)]),

    abandon: (holder: Holder): string =>
      `update ${schema}.record as r
      set state = 'unknown', abandoned_at = coalesce(r.abandoned_at, clock_timestamp())
      where ${heldBy(holder)}`,

    abandoned: ({ coordinates, identity, after, limit }: AbandonedQuery): string => {
      const conditions = [
        `r.state <> 'completed'`,
        `r.namespace = ${literal(namespace)}`,
        `(r.state = 'unknown' or r.lease_until <= clock_timestamp())`,
        ...(coordinates === undefined ? [] : [`r.coordinate in (${coordinates.map(literal).join(', ')})`]),
        ...(identity === undefined ? [] : [`r.identity = ${literal(identity)}`]),
        ...(after === undefined ? [] : [`r.identity > ${literal(after)}`]),
      ];
      return `select encode(r.identity, 'hex') as identity, r.fence::text as fence, r.coordinate, r.attempt,
          extract(epoch from coalesce(r.abandoned_at, r.lease_until))::double precision * 1000 as abandoned_ms,
          (select json_agg(json_build_object('name', s.name, 'attempt', s.attempt, 'outcome', s.outcome,
              'codec_version', s.codec_version, 'body', encode(s.body, 'hex')) order by s.completed_at, s.name)
            from ${schema}.step as s where s.identity = r.identity) as steps
        from ${schema}.record as r where ${conditions.join(' and ')}
        order by r.identity limit ${literal(limit)}`;
    },
  });
}
