/** The front door: puts the rooms together. */

import type { ApolloServerPlugin, BaseContext } from '@apollo/server';
import type { GraphQLResolveInfo, GraphQLSchema } from 'graphql';
import { apolloPlugin } from '../apollo/plugin.ts';
import { checkLeases, resolveConfig } from '../config/config.ts';
import { nearestName } from '../config/nearest-name.ts';
import type { IdempotencyOptions } from '../config/options.ts';
import type { AbandonedRecord, Recovery } from '../config/recovery.ts';
import { applyGuard } from '../directive/apply-guard.ts';
import type { FieldRule } from '../directive/field-rule.ts';
import { typeDefs } from '../directive/type-defs.ts';
import { ConfigurationError } from '../errors/configuration-error.ts';
import type { CurrentAttempt } from '../guard/current.ts';
import type { AttemptSettings } from '../guard/attempt-settings.ts';
import { createGuard } from '../guard/guard.ts';
import { Flights } from '../guard/flights.ts';
import type { LeaseSettings } from '../guard/lease/keep-lease.ts';
import { createRecoverer } from '../guard/lease/recoverer.ts';
import type { RecoveryRound } from '../guard/lease/recoverer.ts';
import { RequestRegistry } from '../guard/request-facts.ts';
import type { MigrationResult } from '../store/postgres/migrator.ts';
import { Lifetime } from './lifetime.ts';

/** The library, configured. One instance serves any number of servers and schemas. */
export interface Idempotency<TContext> {
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
  current(info: GraphQLResolveInfo): CurrentAttempt;

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

  /** Waits for the calls under way, at most `drainTimeout`, rolls the rest back and closes the stores. */
  close(): Promise<void>;

  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Configures the library. What the options leave out comes from the environment, then from defaults.
 *
 * @example
 * ```ts
 * const idempotency = createIdempotency<Context>({ scope: (context) => context.user.id });
 * ```
 *
 * @throws ConfigurationError naming the option or variable that is wrong, and what it expects.
 */
export function createIdempotency<TContext extends object = BaseContext>(
  options: IdempotencyOptions<TContext>,
): Idempotency<TContext> {
  const config = resolveConfig(options, process.env);
  const { settings, logger } = config;
  const requests = new RequestRegistry();
  const flights = new Flights();
  const lifetime = new Lifetime(config, {
    idle: () => guard.idle(),
    endWaiting: () => flights.endWaiting(),
    recover: () => recoverer.round(),
  });
  const attempts: AttemptSettings = {
    storeError: options.storeError,
    releaseError: options.releaseError,
    maxResultBytes: settings.maxResultBytes,
    tombstoneTtlMs: settings.tombstoneTtl,
    logger,
    silentFields: new Set(),
  };
  const leases: LeaseSettings = {
    leaseMs: settings.lease,
    renewMs: settings.renewInterval || Math.floor(settings.lease / 3),
    attemptTimeoutMs: settings.attemptTimeout,
    maxAttempts: settings.maxAttempts,
  };
  const recoverer = createRecoverer({
    durable: lifetime.durable,
    callbacks: options.recover ?? {},
    leases,
    attempts,
    batchSize: settings.recoverBatchSize,
    logger,
  });
  const guard = createGuard<TContext>({
    scope: options.scope,
    requestKeys: options.requestKeys,
    authorizeReplay: options.authorizeReplay,
    clientSignal: options.clientSignal,
    keyFormat: config.keyFormat,
    namespace: settings.namespace,
    ttl: settings.ttl,
    maxFieldsPerOperation: settings.maxFieldsPerOperation,
    limits: settings,
    requests,
    logger,
    passage: {
      durable: lifetime.durable,
      fast: lifetime.fast,
      flights,
      retryAfterMs: settings.retryAfter,
      replayWithoutDatabase: settings.replayWithoutDatabase,
      waitTimeoutMs: settings.waitTimeout,
      attempts,
      leases,
      recovery: recoverer,
    },
  });

  function checkLeased(rules: ReadonlyMap<string, FieldRule>, callbacks: object): void {
    const leased = [...rules.values()].filter(({ mode }) => mode === 'LEASE');
    const everyFieldHasTtl = leased.every(({ ttlMs }) => ttlMs !== undefined);
    if (leased.length > 0) checkLeases(settings, everyFieldHasTtl);
    const coordinates = leased.map(({ coordinate }) => coordinate);
    checkRecover(coordinates, Object.keys(callbacks));
  }

  function apply(schema: GraphQLSchema): ReadonlyMap<string, FieldRule> {
    let rules: ReadonlyMap<string, FieldRule> = new Map();
    rules = applyGuard(schema, {
      owner: guard,
      describe: settings.describe,
      minTtl: { transactionMs: settings.transactionTimeout, leaseMs: settings.lease },
      wrap: guard.wrapperFor(() => rules),
      check: (found) => checkLeased(found, options.recover ?? {}),
    });
    return rules;
  }

  return {
    typeDefs,
    plugin: () =>
      apolloPlugin<TContext & BaseContext>({
        requests,
        applyTo: apply,
        retain: () => lifetime.retain(),
        drain: () => lifetime.drain(),
        release: () => lifetime.release(),
      }),
    applyTo(schema) {
      apply(schema);
      return schema;
    },
    current: (info) => guard.attempts.of(info),
    migrate: () => lifetime.migrate(),
    open: () => lifetime.open(),
    sweep: () => lifetime.sweep(),
    abandoned: async ({ limit = 100 } = {}) => recoverer.list(limitFrom(limit)),
    resolve: async (identity, recovery) => recoverer.resolve(identityFrom(identity), recovery),
    recover: () => recoverer.round(),
    close: () => lifetime.close(),
    [Symbol.asyncDispose]: () => lifetime.close(),
  };
}

/** A callback that nothing ever calls would leave attempts unsettled that its author believes are in good hands. */
function checkRecover(leased: readonly string[], coordinates: readonly string[]): void {
  const stray = coordinates.find((coordinate) => !leased.includes(coordinate));
  if (stray === undefined) return;
  const meant = nearestName(stray, leased);
  throw new ConfigurationError(
    `The option \`recover\` names ${stray}, which is no field with mode: LEASE.${meant === undefined ? '' : ` Did you mean ${meant}?`}`,
  );
}

function identityFrom(hex: string): Buffer {
  if (/^[0-9a-f]{64}$/i.test(hex)) return Buffer.from(hex, 'hex');
  throw new TypeError('An identity is 64 hexadecimal digits, as idempotency.abandoned() shows it.');
}

function limitFrom(limit: number): number {
  if (Number.isSafeInteger(limit) && limit >= 1) return limit;
  throw new TypeError('abandoned({ limit }) expects a whole number of at least 1.');
}
