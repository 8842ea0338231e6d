/** A client with a connection of its own, which inside an attempt speaks through the attempt's transaction. */

import type { Client, CustomTypesConfig } from 'pg';
import { changesSessionOnly } from '../sql-commands.ts';
import type { Ambient } from './ambient.ts';
import { failedQuery, joinedQuery, textOf } from './joined-query.ts';
import type { QueryArguments } from './joined-query.ts';
import type { Joinable } from './joinable.ts';
import { noteSettings } from './session-settings.ts';
import { transactionCommandOf } from './transaction-command.ts';

/** What is done when a client's pool gets it back. */
const givenBack = new WeakMap<object, (destroyed: boolean) => void>();

/** The client was given back to its pool: the next one must not find the transaction that was begun on it. */
export function giveBack(client: object, destroyed: boolean): void {
  givenBack.get(client)?.(destroyed);
}

/** A class of clients: pg's own, or one that extends it. */
export type ClientClass = new (...args: never[]) => Client;

/**
 * Extends a class of clients. A client is not bound to an attempt but asks each time in which one it is used,
 * because a library lends the same client to one request after the other. While a transaction is open on it, it
 * stays where that was begun.
 */
export function joinedClientClass<T extends ClientClass>(base: T, ambient: Ambient): T {
  const Base = base as unknown as new (...args: unknown[]) => Client;
  class JoinedClient extends Base {
    #begunIn: Joinable | undefined;

    constructor(...args: unknown[]) {
      super(...args);
      givenBack.set(this, (destroyed) => {
        this.#begunIn?.release(this, destroyed);
        this.#begunIn = undefined;
      });
    }

    override query(...args: unknown[]): never {
      return this.#query(args) as never;
    }

    override connect(...args: unknown[]): never {
      // Outside: what the socket's events call must not run in the attempt that happened to open it.
      return ambient.leave(() => (super.connect as (...given: unknown[]) => unknown)(...args)) as never;
    }

    override end(...args: unknown[]): never {
      this.#begunIn?.release(this, true);
      return (super.end as (...given: unknown[]) => unknown)(...args) as never;
    }

    override getTransactionStatus(): 'I' | 'T' | 'E' | null {
      return this.#begunIn === undefined ? super.getTransactionStatus() : 'T';
    }

    #query(args: QueryArguments): unknown {
      try {
        const joined = this.#transactionFor(textOf(args));
        if (joined === undefined) return this.#queryAlone(args);
        const answer = joinedQuery(joined, this, this as unknown as CustomTypesConfig, args);
        this.#begunIn = joined.isOpen(this) ? joined : undefined;
        return answer;
      } catch (error) {
        return failedQuery(args, error as Error);
      }
    }

    #transactionFor(text: string | undefined): Joinable | undefined {
      const joined = ambient.current;
      // It may have waited for its turn, and have ended since.
      const begun = this.#begunIn?.isOpen(this) === true ? this.#begunIn : undefined;
      if (begun !== undefined) {
        // Nobody goes on there with BEGIN: a pool that is not pg's has lent the client to the next one.
        const anew = begun.over && joined === undefined && beginsTransaction(text);
        if (!anew && (joined === undefined || joined === begun)) return begun;
        // Prevents that one call's writes are undone with another's: several use this client at the same time.
        if (!begun.over) {
          throw new Error(
            'This client is in a transaction that another guarded call has begun. Take a client of its own for every transaction, from a pool.',
          );
        }
      }
      this.#begunIn = undefined;
      if (joined === undefined) return undefined;
      const status = super.getTransactionStatus();
      // In a transaction that was begun before the attempt, its writes would not commit with the record.
      if (status === 'T' || status === 'E') {
        // Where a library owns the attempt's transaction, it is this one.
        if (joined.ownedByLibrary) return undefined;
        throw new Error(
          'This client is in a transaction that was begun before the guarded call: what it writes would not commit together with the record. Begin the transaction inside the call.',
        );
      }
      // What a library sets on a connection that it has just opened is meant for the connection.
      return text !== undefined && changesSessionOnly(text) ? undefined : joined;
    }

    #queryAlone(args: QueryArguments): unknown {
      const text = textOf(args);
      if (text !== undefined && changesSessionOnly(text)) noteSettings(this, text);
      return (super.query as (...given: unknown[]) => unknown)(...args);
    }
  }
  return JoinedClient as unknown as T;
}

function beginsTransaction(text: string | undefined): boolean {
  return text !== undefined && transactionCommandOf(text)?.kind === 'begin';
}
