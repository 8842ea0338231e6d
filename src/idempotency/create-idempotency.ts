/** The front door: puts the rooms together. */

import type { ApolloServerPlugin, BaseContext } from '@apollo/server';
import type { GraphQLResolveInfo, GraphQLSchema } from 'graphql';
import { apolloPlugin } from '../apollo/plugin.ts';
import { resolveConfig } from '../config/config.ts';
import type { IdempotencyOptions } from '../config/options.ts';
import { applyGuard } from '../directive/apply-guard.ts';
import type { FieldRule } from '../directive/field-rule.ts';
import { typeDefs } from '../directive/type-defs.ts';
import type { CurrentAttempt } from '../guard/current.ts';
import { createGuard } from '../guard/guard.ts';
import { Flights } from '../guard/flights.ts';
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
  const lifetime = new Lifetime(config, () => guard.idle());
  const guard = createGuard<TContext>({
    scope: options.scope,
    requestKeys: options.requestKeys,
    authorizeReplay: options.authorizeReplay,
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
      flights: new Flights(),
      retryAfterMs: settings.retryAfter,
      replayWithoutDatabase: settings.replayWithoutDatabase,
      attempts: {
        storeError: options.storeError,
        maxResultBytes: settings.maxResultBytes,
        tombstoneTtlMs: settings.tombstoneTtl,
        logger,
        silentFields: new Set(),
      },
    },
  });

  function apply(schema: GraphQLSchema): ReadonlyMap<string, FieldRule> {
    let rules: ReadonlyMap<string, FieldRule> = new Map();
    rules = applyGuard(schema, {
      owner: guard,
      describe: settings.describe,
      minTtlMs: settings.transactionTimeout,
      wrap: guard.wrapperFor(() => rules),
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
    close: () => lifetime.close(),
    [Symbol.asyncDispose]: () => lifetime.close(),
  };
}
