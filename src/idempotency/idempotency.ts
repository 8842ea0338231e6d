/** What the configured library offers. */

import type { ApolloServerPlugin, BaseContext } from '@apollo/server';
import type { GraphQLResolveInfo, GraphQLSchema } from 'graphql';
import type { Pool } from 'pg';
import type { AbandonedRecord, Recovery } from '../config/recovery.ts';
import type { CurrentAttempt } from '../guard/current.ts';
import type { GuardAnswer, GuardCall } from '../guard/direct/guard-call.ts';
import type { RecoveryRound } from '../guard/lease/recoverer.ts';
import type { Inbox } from '../inbox/inbox.ts';
import type { Relay } from '../outbox/relay.ts';
import type { RelayOptions } from '../outbox/relay-options.ts';
import type { Driver } from '../store/postgres/ambient/driver.ts';
import type { MigrationResult } from '../store/postgres/migrator.ts';

/** The library, configured. One instance serves any number of servers and schemas. */
export interface Idempotency<TContext, TClient = unknown> {
  /** The SDL of the directive; add it to your `typeDefs`. */
  readonly typeDefs: string;

  /**
   * Makes the Apollo Server plugin: it applies the guard to the server's schema, opens the stores when the
   * server starts and closes them when the last server stops.
   */
  plugin(): ApolloServerPlugin<TContext & BaseContext>;

  /**
   * Applies the guard to a schema, in place, and returns it: for those who build a schema first, or use
   * another server. Applying the same instance twice changes nothing.
   *
   * @throws ConfigurationError naming the coordinate of a directive that is misplaced.
   */
  applyTo(schema: GraphQLSchema): GraphQLSchema;

  /**
   * Returns the attempt of the guarded field that is resolving: its transaction, its key, derived keys.
   *
   * @throws Error outside a guarded field.
   */
  current(info: GraphQLResolveInfo): CurrentAttempt<TClient>;

  /**
   * Guards a call that is no field: of a queue's consumer, a cron job or a REST handler. Runs `run` once, in an
   * attempt of its own, or gives the first answer; the stores open with the first call, if not before.
   *
   * Everything of `call` is read before this returns. What `run` may use, what is remembered and which errors end it
   * are as for a field of the same mode. An error that is remembered is thrown, on a replay as a `FinalError` with
   * the same message and extensions.
   *
   * @example
   * ```ts
   * const { value } = await idempotency.guard(
   *   { name: 'capturePayment', scope: order.customerId, key: message.id, payload: message.body },
   *   async ({ tx }) => {
   *     await tx.query('update orders set captured = true where id = $1', [order.id]);
   *     return { captured: order.id };
   *   },
   * );
   * ```
   *
   * @throws TypeError naming an option that is wrong: nothing was executed. All errors come as a rejection.
   * @throws ConfigurationError for `mode: 'LEASE'` where the settings contradict each other.
   * @throws IdempotencyError with the code of the refusal, such as KEY_REUSED, IN_PROGRESS, or SCOPE_MISSING.
   */
  guard<T>(
    call: GuardCall,
    run: (attempt: CurrentAttempt<TClient>) => T | Promise<T>,
  ): Promise<GuardAnswer<T>>;

  /**
   * A `pg` pool that joins: inside a guarded call, however deep it is called, its queries run in the attempt's
   * transaction, and the transactions that are begun through it become savepoints. Elsewhere it is a pool like
   * any other, on the database of the records.
   *
   * Where the option `postgres` is a pool, it is that one, which joins from now on.
   */
  readonly pool: Pool;

  /**
   * The `pg` module, for libraries that make pools or clients of their own: its `Pool` and `Client` join as
   * `pool` does.
   */
  readonly driver: Driver;

  /** Makes a pool of yours join, in place, and returns it. It must reach the database of the records. */
  join<T extends Pool>(pool: T): T;

  /**
   * Runs work outside the attempt in which it is called: what it queries commits by itself, and stays when the
   * attempt is rolled back.
   */
  outside<T>(work: () => T): T;

  /** Applies the missing migrations. Safe when many processes start at once. */
  migrate(): Promise<MigrationResult>;

  /**
   * Connects and checks the database. The plugin does this when the server starts; without the plugin it
   * happens with the first guarded call, if not before.
   *
   * @throws ConfigurationError when the database cannot hold records, with what to do.
   */
  open(): Promise<void>;

  /** Strips and deletes what has expired, now. The sweeper does this on an interval. */
  sweep(): Promise<{ readonly stripped: number; readonly deleted: number }>;

  /**
   * Lists attempts of `mode: LEASE` that nobody is at work on any more, and of which nobody knows whether their
   * effect happened: at most `limit`, 100 by default.
   *
   * @throws TypeError for a `limit` that is no whole number of at least 1.
   */
  abandoned(options?: { readonly limit?: number }): Promise<readonly AbandonedRecord[]>;

  /**
   * Settles an abandoned attempt, for an operator who has found out what became of it. `identity` is the one
   * that `abandoned`, the log and the telemetry show. `not-abandoned`: it is settled already, or somebody is at
   * work on it; nothing was changed.
   */
  resolve(identity: string, recovery: Recovery): Promise<'resolved' | 'not-abandoned'>;

  /** Offers the abandoned attempts to the `recover` callbacks, now. It happens on an interval, too. */
  recover(): Promise<RecoveryRound>;

  /**
   * Makes a relay, which publishes the events that attempts have added to their outbox, once it is started. It stops
   * when the library closes, and with the last server.
   *
   * @example
   * ```ts
   * const relay = idempotency.relay({ publish: (event) => broker.send(event.topic, event.payload, event.id) });
   * relay.start();
   * ```
   *
   * @throws TypeError naming an option that is wrong.
   */
  relay(options: RelayOptions): Relay;

  /** What consumers handle messages by, so that the effect of each happens once. */
  readonly inbox: Inbox<TClient>;

  /**
   * Stops the relays and waits for the calls under way, at most `drainTimeout`, rolls the rest back and closes the
   * stores. Consumers are to be stopped before.
   */
  close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}
