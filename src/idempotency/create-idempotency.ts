/** The front door: puts the rooms together. */

import type { BaseContext } from '@apollo/server';
import type { GraphQLSchema } from 'graphql';
import { apolloPlugin } from '../apollo/plugin.ts';
import { checkLeases, resolveConfig } from '../config/config.ts';
import type { IdempotencyOptions } from '../config/options.ts';
import { checkRecoverNames } from '../config/recover-names.ts';
import { applyGuard } from '../directive/apply-guard.ts';
import type { FieldRule } from '../directive/field-rule.ts';
import { typeDefs } from '../directive/type-defs.ts';
import { CurrentAttempts } from '../graphql/current-attempts.ts';
import { guardFields } from '../graphql/guard-fields.ts';
import { RequestRegistry } from '../graphql/request-facts.ts';
import type { PassageContext } from '../guard/answer.ts';
import type { AttemptSettings } from '../guard/attempt-settings.ts';
import type { CurrentAttempt } from '../guard/current.ts';
import { createDirectCall } from '../guard/direct-call.ts';
import { createGuard } from '../guard/guard.ts';
import { Flights } from '../guard/flights.ts';
import type { LeaseSettings } from '../guard/lease/keep-lease.ts';
import { createRecoverer } from '../guard/lease/recoverer.ts';
import { createInbox } from '../inbox/inbox.ts';
import type { Inbox } from '../inbox/inbox.ts';
import { createRelay } from '../outbox/relay.ts';
import type { Relay } from '../outbox/relay.ts';
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
export function createIdempotency<TContext extends object = BaseContext, TClient = unknown>(
  options: IdempotencyOptions<TContext, TClient>,
): Idempotency<TContext, TClient> {
  const config = resolveConfig(options, process.env);
  const { settings, logger } = config;
  const requests = new RequestRegistry();
  const flights = new Flights();
  const lifetime = new Lifetime(config, {
    idle: async () => void (await Promise.all([guard.idle(), inboxGuard.idle()])),
    endWaiting: () => flights.endWaiting(),
    recover: () => recoverer.round(),
    stopRelays: () => Promise.all([...relays].map((relay) => relay.stop())),
  });
  const relays = new Set<Relay>();
  const attempts: AttemptSettings = {
    storeError: options.storeError,
    releaseError: options.releaseError,
    maxResultBytes: settings.maxResultBytes,
    maxEventBytes: settings.maxEventBytes,
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
  const passage: PassageContext = {
    durable: lifetime.durable,
    fast: lifetime.fast,
    flights,
    retryAfterMs: settings.retryAfter,
    replayWithoutDatabase: settings.replayWithoutDatabase,
    waitTimeoutMs: settings.waitTimeout,
    attempts,
    leases,
    recovery: recoverer,
  };
  const guard = createGuard({ logger, passage });
  // Messages seldom come twice, and have no answers: Redis would only be filled with them. Which errors are remembered
  // is chosen for clients.
  const inboxGuard = createGuard({
    logger,
    passage: { ...passage, fast: nowhere, attempts: { ...attempts, storeError: undefined } },
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

  const roots = new Set(['Query', 'Mutation', 'Subscription']);
  const direct = createDirectCall({
    guard,
    settings,
    keyFormat: config.keyFormat,
    logger,
    roots,
    outside: (work) => lifetime.joining.ambient.leave(work),
  });

  const inbox = createInbox({
    guard: inboxGuard,
    store: lifetime.inbox,
    settings,
    logger,
    roots,
    outside: (work) => lifetime.joining.ambient.leave(work),
  });

  function check(rules: ReadonlyMap<string, FieldRule>, schema: GraphQLSchema): void {
    const leased = [...rules.values()].filter(({ mode }) => mode === 'LEASE');
    const everyFieldHasTtl = leased.every(({ ttlMs }) => ttlMs !== undefined);
    if (leased.length > 0) checkLeases(settings, everyFieldHasTtl);
    for (const name of rootNames(schema)) roots.add(name);
    checkRecoverNames({
      names: Object.keys(options.recover ?? {}),
      leased: leased.map(({ coordinate }) => coordinate),
      roots,
    });
  }

  function apply(schema: GraphQLSchema): ReadonlyMap<string, FieldRule> {
    let rules: ReadonlyMap<string, FieldRule> = new Map();
    rules = applyGuard(schema, {
      owner: guard,
      describe: settings.describe,
      minTtl: { transactionMs: settings.transactionTimeout, leaseMs: settings.lease },
      wrap: wrapperFor(() => rules),
      check: (found) => check(found, schema),
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
    // What the option `transaction` gives as its client is what an attempt has as its own.
    current: (info) => current.of(info) as CurrentAttempt<TClient>,
    guard: direct as Idempotency<TContext, TClient>['guard'],
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
    relay(relayOptions) {
      const relay = createRelay(
        {
          open: () => lifetime.outbox(),
          logger,
          outside: (work) => lifetime.joining.ambient.leave(work),
        },
        relayOptions,
      );
      relays.add(relay);
      return relay;
    },
    inbox: inbox as Inbox<TClient>,
    close: () => lifetime.close(),
    [Symbol.asyncDispose]: () => lifetime.close(),
  };
}

/** The fast tier of what is not worth its memory. */
const nowhere: PassageContext['fast'] = {
  recall: () => Promise.resolve(undefined),
  remember: () => {},
};

function rootNames(schema: GraphQLSchema): readonly string[] {
  const types = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  return types.flatMap((type) => type?.name ?? []);
}

function identityFrom(hex: string): Buffer {
  if (/^[0-9a-f]{64}$/i.test(hex)) return Buffer.from(hex, 'hex');
  throw new TypeError('An identity is 64 hexadecimal digits, as idempotency.abandoned() shows it.');
}

function limitFrom(limit: number): number {
  if (Number.isSafeInteger(limit) && limit >= 1) return limit;
  throw new TypeError('abandoned({ limit }) expects a whole number of at least 1.');
}
