/** What a user may say in code. */

import type { GraphQLResolveInfo } from 'graphql';
import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { Pool, PoolConfig } from 'pg';
import type { Logger } from './logger.ts';
import type { RecoverAttempt } from './recovery.ts';
import type { SettingOptions } from './settings.ts';
import type { TransactionRunner } from './transaction-runner.ts';

/** What more a key must be than 1-255 visible ASCII characters. */
export type KeyFormat = 'uuid' | RegExp | ((key: string) => boolean);

/** What the request says of its key, for servers other than Apollo Server. */
export interface RequestKeys {
  /** The value of the `Idempotency-Key` header; several values if it came several times. */
  readonly header?: string | readonly string[] | undefined;
  /** The request's `extensions.idempotencyKey`. */
  readonly extension?: unknown;
}

/** The options of `createIdempotency`. The `settings` table has the plain ones with their defaults. */
export interface IdempotencyOptions<TContext, TClient = unknown> extends SettingOptions {
  /**
   * Says whose key it is: the id of the user, tenant or session. Called once per operation with a key.
   *
   * Anything but a non-empty string is IDEMPOTENCY_SCOPE_MISSING. A `GraphQLError` that it throws reaches
   * the client.
   */
  readonly scope: (context: TContext, info: GraphQLResolveInfo) => unknown;

  /**
   * Runs before every replay and refuses it by throwing: for permissions that may have been revoked since
   * the first answer. By default the scope suffices.
   */
  readonly authorizeReplay?: ((context: TContext, info: GraphQLResolveInfo) => unknown) | undefined;

  /**
   * Says which thrown errors are remembered and replayed, besides `FinalError`. Errors that Postgres caused
   * (classes 40, 57 and 08) never are.
   */
  readonly storeError?: ((error: unknown, field: { readonly coordinate: string }) => boolean) | undefined;

  /**
   * LEASE: says which thrown errors mean that nothing was done, so that the claim is released and a retry
   * executes. `NotExecutedError` always does, and so do GraphQL errors with the codes BAD_USER_INPUT,
   * UNAUTHENTICATED and FORBIDDEN; any other error leaves the outcome unknown.
   */
  readonly releaseError?: ((error: unknown, field: { readonly coordinate: string }) => boolean) | undefined;

  /**
   * LEASE: finds out what became of abandoned attempts, by field, such as `Mutation.payout`, or by the `name` of
   * `guard()` calls. Called when a client retries, and in the background every `recoverInterval`.
   */
  readonly recover?: Readonly<Record<string, RecoverAttempt>> | undefined;

  /**
   * Says when the client of a call has gone away. That ends its waiting (`inFlight: WAIT`), never the work.
   */
  readonly clientSignal?: ((context: TContext) => AbortSignal | undefined) | undefined;

  /** What more a key must be than 1-255 visible ASCII characters. */
  readonly keyFormat?: KeyFormat | undefined;

  /** A connection string, a pool's configuration, or a pool, which is never closed by the library. */
  readonly postgres?: string | PoolConfig | Pool | undefined;

  /**
   * Runs a call in a transaction that a library owns, for libraries that cannot write through another's: it begins
   * one, calls `work` once with its handle, and commits or rolls back as `work` resolves or rejects. Resolvers get
   * the handle as `current(info).client`. Of `mode: TRANSACTION` only; steps of leases have the store's own.
   *
   * @example
   * ```ts
   * transaction: (work) =>
   *   prisma.$transaction((client) =>
   *     work({ client, query: (text, values) => client.$queryRawUnsafe(text, ...values) }),
   *   ),
   * ```
   */
  readonly transaction?: TransactionRunner<TClient> | undefined;

  /**
   * A URL, ioredis options, or a client with fail-fast settings, which is never closed by the library.
   * `false`: no Redis, whatever the environment says.
   */
  readonly redis?: string | RedisOptions | Redis | Cluster | false | undefined;

  /** @defaultValue `console` */
  readonly logger?: Logger | undefined;

  /** Says where the key of a request is, for servers other than Apollo Server. */
  readonly requestKeys?: ((context: TContext) => RequestKeys | Promise<RequestKeys>) | undefined;
}

/** The names of the options that are not plain settings. */
export const optionNames = [
  'scope',
  'authorizeReplay',
  'storeError',
  'releaseError',
  'recover',
  'clientSignal',
  'keyFormat',
  'postgres',
  'transaction',
  'redis',
  'logger',
  'requestKeys',
] as const satisfies readonly (keyof IdempotencyOptions<unknown>)[];
