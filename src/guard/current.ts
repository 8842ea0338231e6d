/** Gives a resolver its own attempt. */

import { createHash } from 'node:crypto';
import { openOutbox } from '../outbox/outbox.ts';
import type { Outbox } from '../outbox/outbox.ts';
import type { NewEvent } from '../store/outbox-port.ts';
import type { Transaction } from '../store/port.ts';
import type { AttemptSettings } from './attempt-settings.ts';
import type { Step } from './lease/step.ts';

/** What a guarded resolver may use of its attempt. */
export interface CurrentAttempt<TClient = unknown> {
  /**
   * The transaction that commits together with the record; over when the resolver settles.
   *
   * @throws Error in `mode: LEASE`, where the record commits by itself.
   */
  readonly tx: Transaction;
  /**
   * Adds events, which relays publish once the transaction has committed.
   *
   * @throws Error in `mode: LEASE`, where a step's transaction has one.
   */
  readonly outbox: Outbox;
  /**
   * The same transaction as the handle of the library that owns it: what the option `transaction` gave.
   *
   * @throws Error without that option, and in `mode: LEASE`.
   */
  readonly client: TClient;
  /**
   * Runs a part of the mutation, and journals its result.
   *
   * @throws Error in `mode: TRANSACTION`, where nothing is left of an attempt that is interrupted.
   */
  readonly step: Step;
  /**
   * Aborts when the lease is lost, or may be: then stop, because another attempt may be at work.
   *
   * @throws Error in `mode: TRANSACTION`.
   */
  readonly signal: AbortSignal;
  /** The client's key; `undefined` where none was sent and none is required. */
  readonly key: string | undefined;
  /** Which try at executing this is, from 1. */
  readonly attempt: number;
  /**
   * Derives a key for an outside system: the same in every attempt of this call, another for every name.
   * Without a client's key it is a new one each time.
   */
  readonly deriveKey: (name: string) => string;
}

/** By what an attempt reaches the stores in TRANSACTION mode. */
export interface TransactionMeans {
  readonly attempt: number;
  readonly tx: Transaction;
  readonly client: unknown;
  /** When it began, for the ids of its events; see `periodOf`. `''` without a key. */
  readonly period: string;
  readonly addEvent: (event: NewEvent) => void;
}

/** By what an attempt reaches the stores, in one mode or the other. */
export type Means =
  | TransactionMeans
  | { readonly attempt: number; readonly step: Step; readonly keeper: { readonly signal: AbortSignal } };

/** Makes what a resolver gets. */
export function currentAttempt(
  means: Means,
  {
    coordinate,
    key,
    identity,
  }: { readonly coordinate: string; readonly key: string | undefined; readonly identity: Buffer },
  { maxEventBytes }: Pick<AttemptSettings, 'maxEventBytes'>,
): CurrentAttempt {
  // One for the whole attempt, because it counts; most resolvers ask for none.
  let outbox: Outbox | undefined;
  return {
    get tx() {
      if ('tx' in means) return means.tx;
      throw new Error(
        `${coordinate} has mode: LEASE, so its attempt has no transaction. Write through step.transaction(name, (tx) => …).`,
      );
    },
    get outbox() {
      if ('addEvent' in means) {
        const { addEvent: write, period } = means;
        return (outbox ??= openOutbox({ identity, period, step: '', maxEventBytes, write }));
      }
      throw new Error(
        `${coordinate} has mode: LEASE, so its attempt has no transaction that an event could commit with. Add it in step.transaction(name, (tx, { outbox }) => …).`,
      );
    },
    get client() {
      if ('client' in means && means.client !== undefined) return means.client;
      throw new Error(
        `${coordinate} has no client of a library’s: the option \`transaction\` gives one to fields of mode: TRANSACTION.`,
      );
    },
    get step() {
      if ('step' in means) return means.step;
      throw new Error(`${coordinate} has mode: TRANSACTION, so it has no steps. Write through tx.`);
    },
    get signal() {
      if ('keeper' in means) return means.keeper.signal;
      throw new Error(`${coordinate} has mode: TRANSACTION, so it has no lease that could be lost.`);
    },
    key,
    attempt: means.attempt,
    deriveKey: (name) => deriveKey(identity, name),
  };
}

/** Derives a key from an identity. The recipe never changes: outside systems remember its results. */
export function deriveKey(identity: Buffer, name: string): string {
  return createHash('sha256')
    .update('graphql-idempotency derived key\n')
    .update(identity)
    .update(name)
    .digest('base64url');
}
