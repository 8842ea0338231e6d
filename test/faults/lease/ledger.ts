/** What is known of calls outside the process that runs them: to Postgres and to the provider. */

import type { Left } from './points.ts';
import type { Stage } from './stage.ts';

/** One call's part of it. */
export interface Known {
  /** Of its record: `none` where there is none. */
  readonly record: string;
  /** The names in its journal. */
  readonly journal: string;
  readonly payments: number;
  readonly reserveAsked: number;
  readonly captureAsked: number;
}

interface Noted {
  readonly note: string;
  readonly identity: Buffer;
}

/** Looks up what is known of every call, in their order. */
export async function lookUp({ direct, provider }: Stage, calls: readonly Noted[]): Promise<Known[]> {
  const { rows: records } = await direct.query<{ identity: string; state: string; steps: string }>(
    `select encode(r.identity, 'hex') as identity, r.state::text as state,
        coalesce((select string_agg(s.name, ' ' order by s.completed_at)
          from graphql_idempotency.step as s where s.identity = r.identity), '') as steps
      from graphql_idempotency.record as r where r.identity = any($1)`,
    [calls.map(({ identity }) => identity)],
  );
  const { rows: payments } = await direct.query<{ note: string; n: number }>(
    'select note, count(*)::int as n from payments where note = any($1) group by note',
    [calls.map(({ note }) => note)],
  );
  const recordOf = new Map(records.map((record) => [record.identity, record]));
  const paymentsOf = new Map(payments.map(({ note, n }) => [note, n]));
  return calls.map(({ note, identity }) => {
    const record = recordOf.get(identity.toString('hex'));
    return {
      record: record?.state ?? 'none',
      journal: record?.steps ?? '',
      payments: paymentsOf.get(note) ?? 0,
      reserveAsked: provider.count('asked', 'reserve', note),
      captureAsked: provider.count('asked', 'capture', note),
    };
  });
}

/** What is to be known of a call whose process died there. */
export function knownAfter(left: Left): Known {
  const journaled = [
    ...(left.reserve === 'journaled' ? ['reserve'] : []),
    ...(left.booked ? ['book'] : []),
    ...(left.capture === 'journaled' ? ['capture'] : []),
  ];
  return {
    record: left.completed ? 'completed' : left.claimed ? 'pending' : 'none',
    // Completing removes it.
    journal: left.completed ? '' : journaled.join(' '),
    payments: left.booked ? 1 : 0,
    reserveAsked: left.reserve === 'nothing' ? 0 : 1,
    captureAsked: left.capture === 'nothing' ? 0 : 1,
  };
}

/** Ends every lease of the calls, by the clock of the database: by waiting, or by having time pass at once. */
export async function leasesOver({ direct, leasesEnd }: Stage, calls: readonly Noted[]): Promise<void> {
  const identities = calls.map(({ identity }) => identity);
  const statements = {
    'in-time': `select pg_sleep(greatest(0, extract(epoch from max(r.lease_until) - clock_timestamp()) + 0.005))
      from graphql_idempotency.record as r where r.identity = any($1) and r.state = 'pending'`,
    'when-asked': `update graphql_idempotency.record as r set lease_until = clock_timestamp()
      where r.identity = any($1) and r.state = 'pending'`,
  };
  await direct.query(statements[leasesEnd], [identities]);
}
