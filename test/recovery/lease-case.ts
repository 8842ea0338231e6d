/** Services in lease mode over a database of the test's own, and what can be done to their leases. */

import type { CurrentAttempt, IdempotencyOptions } from 'graphql-idempotency';
import type { GraphQLResolveInfo } from 'graphql';
import pg from 'pg';
import { onTestFinished } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Reply, Service, ServiceContext } from '../support/service.ts';
import { deferred, eventually } from '../support/signal.ts';
import type { Deferred } from '../support/signal.ts';

/** The guarded fields: all in mode LEASE but `waitTx`. */
export type FieldName = 'refuse' | 'rerun' | 'waitLease' | 'waitTx';

const FIELDS: Readonly<Record<FieldName, string>> = {
  refuse: '@idempotent(mode: LEASE)',
  rerun: '@idempotent(mode: LEASE, abandoned: RERUN)',
  waitLease: '@idempotent(mode: LEASE, abandoned: RERUN, inFlight: WAIT)',
  waitTx: '@idempotent(inFlight: WAIT)',
};

export type Work = (current: CurrentAttempt, n: number) => unknown;

export interface InstanceOptions {
  /** What the guarded fields do; by default they return their argument. */
  readonly work?: Work;
  readonly options?: Partial<IdempotencyOptions<ServiceContext>>;
  /** Reaches the database in another way, such as a proxy. */
  readonly databaseUrl?: string;
}

export interface Instance extends Service {
  /** The attempt numbers of the executions, in their order. */
  readonly executed: readonly number[];
  call(field: FieldName, key: string, n?: number): Promise<Reply>;
}

export interface LeaseCase {
  readonly url: string;
  readonly client: pg.Client;
  readonly start: (options?: InstanceOptions) => Promise<Instance>;
  /** Something for a resolver or a callback to wait for; the end of the test resolves it. */
  readonly hold: <T = void>() => Deferred<T | undefined>;
  /** Ends every lease that has not been renewed since: as if all that time had passed on the database's clock. */
  readonly lapse: () => Promise<void>;
  readonly rows: () => Promise<{ state: string; attempt: number; outcome: string | null }[]>;
  /** Waits until as many records are in this state. */
  readonly until: (state: 'pending' | 'unknown' | 'completed', count?: number) => Promise<void>;
}

export const CRASH = new Error('the connection to the provider broke');

/** What the service says about a call: its value, or the code that refuses it. */
export function said(reply: Reply): unknown {
  const { data, extensions } = reply.body;
  if (reply.code !== undefined) return reply.code.replace('IDEMPOTENCY_', '');
  const [[field, value]] = Object.entries(data ?? {}) as [[string, unknown]];
  return { value, outcome: extensions?.idempotency?.[field]?.outcome };
}

export const executed = (value: unknown) => ({ value, outcome: 'executed' });
export const replayed = (value: unknown) => ({ value, outcome: 'replayed' });

export async function leaseCase(): Promise<LeaseCase> {
  const { url } = await createDatabase({ migrated: true });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  const held = new Set<Deferred<undefined>>();

  async function rows() {
    const { rows: found } = await client.query<{ state: string; attempt: number; outcome: string | null }>(
      'select state, attempt, outcome from graphql_idempotency.record order by identity',
    );
    return found;
  }

  return {
    url,
    client,
    rows,
    hold: <T>() => {
      const one = deferred<T | undefined>();
      held.add(one as Deferred<undefined>);
      return one;
    },
    async lapse() {
      await client.query(
        `update graphql_idempotency.record set lease_until = clock_timestamp() where state = 'pending'`,
      );
    },
    async until(state, count = 1) {
      await eventually(async () => (await rows()).filter((row) => row.state === state).length === count, {
        what: `${count} records in state ${state}`,
      });
    },
    async start({ work = (_: CurrentAttempt, n: number) => n, options, databaseUrl = url } = {}) {
      const attempts: number[] = [];
      const service = await startService({
        databaseUrl,
        typeDefs: `extend type Mutation { ${Object.entries(FIELDS)
          .map(([name, directive]) => `${name}(n: Int! = 1): Int ${directive}`)
          .join('\n')} }`,
        resolvers: (idempotency) => ({
          Mutation: Object.fromEntries(
            Object.keys(FIELDS).map((name) => [
              name,
              (_: unknown, { n }: { n: number }, __: unknown, info: GraphQLResolveInfo) => {
                const current = idempotency.current(info);
                attempts.push(current.attempt);
                return work(current, n);
              },
            ]),
          ),
        }),
        // Rounds come when a test asks for them.
        options: { recoverInterval: 0, drainTimeout: 200, ...options },
      });
      onTestFinished(async () => {
        for (const one of held) one.resolve(undefined);
        await service.stop();
      });
      return Object.assign(service, {
        executed: attempts,
        call: (field: FieldName, key: string, n = 1) =>
          service.send({ query: `mutation ($n: Int!) { ${field}(n: $n) }`, variables: { n }, key }),
      });
    },
  };
}
