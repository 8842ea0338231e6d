/** Makes a pool join: inside an attempt it lends the attempt's transaction, outside it is what it was. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { TypeOverrides } from 'pg';
import type { CustomTypesConfig, Pool, PoolClient } from 'pg';
import type { Ambient } from './ambient.ts';
import { attemptClient } from './attempt-client.ts';
import { failedQuery, joinedQuery } from './joined-query.ts';
import type { QueryArguments } from './joined-query.ts';
import { giveBack, joinedClientClass } from './joined-client.ts';
import type { ClientClass } from './joined-client.ts';

/** Parts of `pg`'s pool that its types leave out. */
interface PoolInternals {
  Client: ClientClass;
}

type Connected = (error: Error | undefined, client?: PoolClient, release?: (error?: unknown) => void) => void;

const joined = new WeakMap<Pool, Ambient>();

/**
 * Joins a pool, in place, and returns it: whoever holds it already joins, too. Joining it again changes nothing.
 *
 * Inside an attempt nothing waits for a connection of this pool: a resolver that holds an attempt and waited
 * here for those who wait for an attempt would wait for ever.
 *
 * `connect` lends a connection outside attempts; the pool's own method by default. `clientsJoin`: false where its
 * clients must stay as they are, because the attempts themselves run on one of them.
 */
export function joinPool<T extends Pool>(
  pool: T,
  ambient: Ambient,
  {
    connect = pool.connect.bind(pool) as Pool['connect'],
    clientsJoin = true,
  }: { readonly connect?: Pool['connect']; readonly clientsJoin?: boolean } = {},
): T {
  if (joined.has(pool)) {
    if (joined.get(pool) === ambient) return pool;
    throw new Error('The pool has been joined by another instance of graphql-idempotency.');
  }
  joined.set(pool, ambient);
  const internals = pool as unknown as PoolInternals;
  const clientClass = internals.Client;
  // What is lent outside may be used inside: by whoever keeps a client, or makes one in the context function.
  if (clientsJoin) internals.Client = joinedClientClass(clientClass, ambient);
  pool.on('release', (error: unknown, client) => giveBack(client, Boolean(error)));
  const own = (pool.options as { readonly types?: CustomTypesConfig }).types;
  const types = new TypeOverrides(own) as unknown as CustomTypesConfig;
  const query = pool.query.bind(pool) as (...args: QueryArguments) => unknown;

  function lend(): PoolClient | undefined {
    const transaction = ambient.current;
    return transaction && attemptClient(clientClass, types, transaction);
  }

  pool.connect = ((callback?: Connected): Promise<PoolClient> | void => {
    if (callback === undefined) return (async () => lend() ?? connect())();
    // Bound, because a pool calls back from whatever gave a connection free, which may be another's attempt.
    const answer = AsyncLocalStorage.bind(callback);
    try {
      const client = lend();
      if (client === undefined) return connect(answer as Parameters<Pool['connect']>[0]);
      const release = (error?: unknown): void => client.release(error as Error | undefined);
      process.nextTick(() => answer(undefined, client, release));
    } catch (error) {
      process.nextTick(() => answer(error as Error, undefined, () => {}));
    }
  }) as Pool['connect'];

  pool.query = ((...args: QueryArguments): unknown => {
    try {
      const transaction = ambient.current;
      if (transaction === undefined) return query(...args);
      // At once, and not when a client has been lent: statements keep the order in which they were sent.
      const owner = {};
      const answer = joinedQuery(transaction, owner, types, args);
      transaction.release(owner, false);
      return answer;
    } catch (error) {
      return failedQuery(args, error as Error);
    }
  }) as Pool['query'];
  return pool;
}
