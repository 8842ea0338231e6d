/** What a pool lends inside an attempt: a client without a connection, which speaks through the transaction. */

import { EventEmitter } from 'node:events';
import type { CustomTypesConfig, PoolClient } from 'pg';
import { joinedQuery } from './joined-query.ts';
import type { QueryArguments } from './joined-query.ts';
import type { ClientClass } from './joined-client.ts';
import type { Joinable } from './joinable.ts';

/** Makes a client that is of the given class to whoever asks, and whose every statement is the attempt's. */
export function attemptClient(
  clientClass: ClientClass,
  types: CustomTypesConfig,
  transaction: Joinable,
): PoolClient {
  // Not constructed: a client's constructor makes the socket that this one is never to have.
  const client = Object.create(clientClass.prototype as object) as PoolClient;
  EventEmitter.call(client as never);
  let released = false;
  return Object.assign(client, {
    // What the class's own methods for parsers read.
    _types: types,
    query: (...args: QueryArguments) => joinedQuery(transaction, client, types, args),
    connect: connected(client),
    end: connected(client),
    getTransactionStatus: () => (transaction.isOpen(client) ? 'T' : 'I'),
    ref: () => {},
    unref: () => {},
    release(error?: Error | boolean): void {
      if (released) {
        throw new Error('Release called on client which has already been released to the pool.');
      }
      released = true;
      transaction.release(client, Boolean(error));
    },
  });
}

/** There is nothing to connect and nothing to end. */
function connected(client: PoolClient) {
  return (callback?: (error: Error | null, client: PoolClient) => void): Promise<PoolClient> | undefined => {
    if (callback === undefined) return Promise.resolve(client);
    process.nextTick(callback, null, client);
    return undefined;
  };
}
