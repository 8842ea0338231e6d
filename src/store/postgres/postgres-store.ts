/** The durable tier on Postgres. */

import { randomBytes, randomUUID } from 'node:crypto';
import type { TransactionRunner } from '../../config/transaction-runner.ts';
import { ConfigurationError } from '../../errors/configuration-error.ts';
import { publish } from '../../telemetry/channels.ts';
import { StoreUnavailableError } from '../port.ts';
import type { Attempt, Claim, Completion, DurableStore, NewRecord, Origin, Sighting } from '../port.ts';
import type { Ambient } from './ambient/ambient.ts';
import { openAttempt } from './attempt.ts';
import { inspect } from './inspection.ts';
import type { Inspection } from './inspection.ts';
import { leaseStatementsFor } from './lease-statements.ts';
import { leaseStore } from './lease-store.ts';
import { migrateWith } from './migrator.ts';
import type { MigrationResult } from './migrator.ts';
import { eventHints } from './events/event-hints.ts';
import { insertEventsFor } from './events/event-statements.ts';
import { inboxStore } from './messages/inbox-store.ts';
import { outboxStore } from './events/outbox-store.ts';
import { judge, look } from './outcome.ts';
import { Pools } from './pools.ts';
import type { ConnectionSource, PoolSettings } from './pools.ts';
import { Preparing } from './prepared.ts';
import { resolveCommit } from './resolve-commit.ts';
import { settingsOf, sightingOf } from './rows.ts';
import type { ClaimRow } from './rows.ts';
import { runnerStore } from './runner/runner-store.ts';
import type { Session } from './session.ts';
import { BEGIN, COMMIT, statementsFor, transactionStatus } from './statements.ts';
import type { ClaimSettings } from './statements.ts';
import type { StepAttempt } from './step-transaction.ts';

export interface PostgresSettings extends PoolSettings {
  readonly schema: string;
  readonly namespace: string;
  readonly transactionTimeout: number;
  readonly commitTimeout: number;
  readonly probeTimeout: number;
  readonly lockTimeout: number;
  readonly preparedStatements: boolean;
  readonly outboxNotify: boolean;
  readonly inboxTtl: number;
}

export interface PostgresStoreOptions {
  readonly source: ConnectionSource;
  readonly settings: PostgresSettings;
  /** How often Postgres checks that its client still lives while a statement runs; 0 where it can't. */
  readonly connectionCheckMs: number;
  /** Whether the server is to end transactions that last too long, beside the library's own deadline. */
  readonly serverTimeouts: boolean;
  /** Told what a claim read from the database's clock, in milliseconds, and when, by `performance.now()`, it asked. */
  readonly onClock: (clockMs: number, askedMs: number) => void;
  /** What joined pools find the attempt's transaction by. */
  readonly ambient: Ambient;
  /** Runs attempts in transactions that a library owns, where one must. */
  readonly run?: TransactionRunner | undefined;
  /** Told which database a new connection reaches, and its clock. */
  readonly onInspection: (inspection: Inspection) => void;
}

export interface PostgresStore extends DurableStore {
  migrate(): Promise<MigrationResult>;
}

export function postgresStore(options: PostgresStoreOptions): PostgresStore {
  const { settings } = options;
  const statements = statementsFor(settings.schema);
  const pools = new Pools(options.source, settings, options.ambient, async (client) => {
    const inspection = await inspect(client, statements, settings.schema);
    options.onInspection(inspection);
    return inspection.origin;
  });

  function claimStatement(identity: Buffer, token: string, timeoutMs?: number): string {
    return statements.claim({
      identity,
      attempt: token,
      timeoutMs: options.serverTimeouts ? (timeoutMs ?? settings.transactionTimeout) : 0,
      connectionCheckMs: options.connectionCheckMs,
    });
  }

  function completeStatement(
    token: string,
    record: NewRecord,
    claimed?: ClaimSettings,
    lockTimeoutMs = settings.lockTimeout,
  ): string {
    return statements.complete(token, record, {
      lockTimeoutMs,
      // Empty where no resolver has run that could have changed it.
      synchronousCommit: claimed?.synchronousCommit ?? '',
    });
  }

  const preparing = new Preparing(settings.preparedStatements);
  const hints = eventHints({ ...settings, pools, preparing });
  const shared = {
    ...settings,
    pools,
    ambient: options.ambient,
    claimStatement,
    completeStatement,
    insertEvents: insertEventsFor(settings.schema, settings.namespace),
    onEvents: () => hints.committed(),
    resolveCommit: (record: NewRecord, cause: unknown) => resolveCommit(shared, record, cause),
  };

  const leases = leaseStore({
    ...settings,
    pools,
    preparing,
    leases: leaseStatementsFor(settings.schema, settings.lockTimeout, settings.namespace),
    begin,
    onClock: options.onClock,
  });

  const inbox = inboxStore({ ...settings, pools, preparing });

  async function claim(identity: Buffer): Promise<Claim & { readonly attempt: Attempt & StepAttempt }> {
    const session = await acquire('attempts');
    const token = randomUUID();
    const askedMs = performance.now();
    const answer = await session.send([BEGIN, claimStatement(identity, token)], settings.claimTimeout);
    const row = answer.kind === 'done' ? (answer.results[1]!.rows[0] as unknown as ClaimRow) : undefined;
    if (row === undefined || row.in_recovery) {
      const cause = answer.kind === 'failed' ? answer.error : new Error('the server is a replica');
      // Whatever this connection is now, it is not one to begin an attempt on.
      session.destroy(new Error('the claim failed'));
      pools.release(session);
      publish({ type: 'postgres', event: 'unavailable', error: cause });
      throw new StoreUnavailableError('the claim failed', { cause });
    }
    options.onClock(row.clock_ms, askedMs);
    return {
      ...sightingOf(row, session.origin),
      attempt: openAttempt({ ...shared, session, token, claimSettings: settingsOf(row) }),
    };
  }

  async function begin(): Promise<Attempt & StepAttempt> {
    // An identity that no key can have: 32 random bytes, so that nobody ever waits for it.
    return (await claim(randomBytes(32))).attempt;
  }

  async function acquire(which: 'attempts' | 'reserved'): Promise<Session> {
    try {
      return await pools.acquire(which);
    } catch (error) {
      publish({ type: 'postgres', event: 'unavailable', error });
      throw error;
    }
  }

  async function record(record: NewRecord): Promise<Completion> {
    const session = await acquire('reserved').catch((error: unknown) => error);
    if (session instanceof Error) return { kind: 'aborted', cause: session };
    const held = session as Session;
    const token = randomUUID();
    try {
      const answer = await held.send(
        [BEGIN, claimStatement(record.identity, token), completeStatement(token, record), COMMIT],
        settings.commitTimeout,
      );
      return await judge({ ...shared, session: held, token }, record, answer);
    } finally {
      pools.release(held);
    }
  }

  /** Asks on a connection of the store's own; `undefined` when there is none. */
  async function asking<T>(question: (session: Session) => Promise<T>): Promise<T | undefined> {
    const session = await pools.acquire('either').catch(() => undefined);
    if (session === undefined) return undefined;
    try {
      return await question(session);
    } finally {
      pools.release(session);
    }
  }

  const library =
    options.run === undefined
      ? undefined
      : runnerStore({
          ...settings,
          run: options.run,
          ambient: options.ambient,
          claimStatement,
          completeStatement,
          insertEvents: shared.insertEvents,
          onEvents: shared.onEvents,
          resolveCommit: shared.resolveCommit,
          record,
          onClock: options.onClock,
          ownOrigin: async (): Promise<Origin> => {
            const session = await pools.acquire('reserved');
            pools.release(session);
            return session.origin;
          },
          look: (identity): Promise<Sighting | undefined> =>
            asking((session) => look({ ...shared, session, token: randomUUID() }, identity)),
          statusOf: (xid) =>
            asking(async (session) => {
              const answer = await session.send([transactionStatus(xid)], settings.claimTimeout);
              return answer.kind === 'done' ? String(answer.results[0]!.rows[0]!['status']) : undefined;
            }),
        });

  async function run(statement: string): Promise<number> {
    const session = await acquire('reserved');
    try {
      const answer = await session.send([statement], settings.transactionTimeout);
      if (answer.kind === 'done') return answer.results[0]!.rowCount ?? 0;
      throw new StoreUnavailableError('a statement failed', { cause: answer.error });
    } finally {
      pools.release(session);
    }
  }

  return {
    async open() {
      try {
        pools.release(await pools.acquire('attempts'));
        await library?.check();
      } catch (error) {
        const { cause } = error as { cause?: unknown };
        if (error instanceof ConfigurationError) throw error;
        throw cause instanceof ConfigurationError ? cause : unreachable(error);
      }
    },

    claim: (identity) => (library === undefined ? claim(identity) : library.claim(identity)),
    begin: (use) => (use === 'call' && library !== undefined ? library.begin() : begin()),
    record,
    claimLease: leases.claimLease,
    takeOver: leases.takeOver,
    abandoned: leases.abandoned,
    outbox: outboxStore({ ...settings, pools, preparing, hints }),
    inbox,

    async reached() {
      const session = await pools.acquire('reserved').catch(() => undefined);
      if (session === undefined) return undefined;
      const answer = await session.send(['select 1'], settings.claimTimeout);
      pools.release(session);
      return answer.kind === 'done' ? session.origin : undefined;
    },

    async sweep(batchSize) {
      const stripped = await run(statements.strip(batchSize));
      const deleted = await run(statements.remove(batchSize));
      await inbox.sweep(batchSize, settings.inboxTtl);
      return { stripped, deleted };
    },

    async migrate() {
      try {
        return await pools.withUninspected(settings.transactionTimeout, (client) =>
          migrateWith(client, settings.schema),
        );
      } catch (error) {
        throw error instanceof StoreUnavailableError ? unreachable(error) : error;
      }
    },

    async close() {
      library?.giveUp();
      hints.close();
      await leases.giveUp();
      await pools.close();
    },
  };
}

function unreachable(cause: unknown): ConfigurationError {
  return new ConfigurationError(
    'Postgres cannot be reached. Check the database URL (IDEMPOTENCY_DATABASE_URL, else DATABASE_URL, or the option `postgres`) and that the server accepts connections.',
    { cause },
  );
}
