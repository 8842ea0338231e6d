/** The front door: puts the rooms together. */

import type { BaseContext } from '@apollo/server';
import type { GraphQLSchema } from 'graphql';
import { apolloPlugin } from '../apollo/plugin.ts';
import { checkLeases, resolveConfig } from '../config/config.ts';
import { nearestName } from '../config/nearest-name.ts';
import type { IdempotencyOptions } from '../config/options.ts';
import { applyGuard } from '../directive/apply-guard.ts';
import type { FieldRule } from '../directive/field-rule.ts';
import { typeDefs } from '../directive/type-defs.ts';
import { ConfigurationError } from '../errors/configuration-error.ts';
import { CurrentAttempts } from '../graphql/current-attempts.ts';
import { guardFields } from '../graphql/guard-fields.ts';
import { RequestRegistry } from '../graphql/request-facts.ts';
import type { AttemptSettings } from '../guard/attempt-settings.ts';
import { createGuard } from '../guard/guard.ts';
import { Flights } from '../guard/flights.ts';
import type { LeaseSettings } from '../guard/lease/keep-lease.ts';
import { createRecoverer } from '../guard/lease/recoverer.ts';
import type { Idempotency } from './idempotency.ts';
import { Lifetime } from './lifetime.ts';

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
  const guard = createGuard({
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
  const current = new CurrentAttempts();
  const wrapperFor = guardFields<TContext>({
    guard,
    attempts: current,
    requests,
    scope: options.scope,
    requestKeys: options.requestKeys,
    authorizeReplay: options.authorizeReplay,
    clientSignal: options.clientSignal,
    keyFormat: config.keyFormat,
    namespace: settings.namespace,
    ttl: settings.ttl,
    retryAfterMs: settings.retryAfter,
    maxFieldsPerOperation: settings.maxFieldsPerOperation,
    limits: settings,
    logger,
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
      wrap: wrapperFor(() => rules),
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
    current: (info) => current.of(info),
    get pool() {
      return lifetime.joining.pool();
    },
    get driver() {
      return lifetime.joining.driver();
    },
    join: (pool) => lifetime.joining.join(pool),
    outside: (work) => lifetime.joining.ambient.leave(work),
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
