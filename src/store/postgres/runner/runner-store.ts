/** Claims in transactions that a library owns, and checks that they are what an attempt needs. */

import { randomBytes, randomUUID } from 'node:crypto';
import type { RunnerTransaction, TransactionRunner } from '../../../config/transaction-runner.ts';
import { ConfigurationError } from '../../../errors/configuration-error.ts';
import { publish } from '../../../telemetry/channels.ts';
import { StoreUnavailableError } from '../../port.ts';
import type { Attempt, Claim, NewRecord, Origin } from '../../port.ts';
import { originOf } from '../inspection.ts';
import type { OriginRow } from '../inspection.ts';
import { settingsOf, sightingOf } from '../rows.ts';
import type { ClaimRow } from '../rows.ts';
import type { ClaimSettings } from '../statements.ts';
import { askLibrary, inTime } from './library-answer.ts';
import { callLibrary } from './library-call.ts';
import type { LibraryCall } from './library-call.ts';
import { openRunnerAttempt } from './runner-attempt.ts';
import type { RunnerAttempt, RunnerAttemptContext } from './runner-attempt.ts';
import { MARKER, claimThrough } from './runner-statements.ts';

export interface RunnerStoreOptions extends Omit<
  RunnerAttemptContext,
  'call' | 'transaction' | 'token' | 'origin' | 'claimSettings' | 'completeStatement' | 'onOver'
> {
  readonly run: TransactionRunner;
  readonly schema: string;
  readonly acquireTimeout: number;
  readonly claimStatement: (identity: Buffer, token: string) => string;
  readonly completeStatement: (token: string, record: NewRecord, claim?: ClaimSettings) => string;
  /** Says which database the store's own connections reach. @throws StoreUnavailableError */
  readonly ownOrigin: () => Promise<Origin>;
  readonly onClock: (clockMs: number, askedMs: number) => void;
}

export interface RunnerStore {
  /** Opens a transaction, looks for what is wrong with it, and rolls it back. */
  check(): Promise<void>;
  claim(identity: Buffer): Promise<Claim>;
  begin(): Promise<Attempt>;
  /** Ends the attempts at work, and refuses new ones. */
  giveUp(): void;
}

interface LibraryClaimRow extends ClaimRow, OriginRow {
  readonly isolation: string;
  readonly read_only: string;
}

interface Lent {
  readonly call: LibraryCall;
  readonly transaction: RunnerTransaction;
}

interface LentClaim extends Lent {
  readonly token: string;
  readonly row: LibraryClaimRow;
  readonly origin: Origin;
}

export function runnerStore(options: RunnerStoreOptions): RunnerStore {
  const { claimTimeout, acquireTimeout } = options;
  const atWork = new Set<RunnerAttempt>();
  let known: Origin | undefined;
  let closed = false;

  /** Waits for a transaction of the library's. One that comes too late is rolled back unused. */
  async function borrow(): Promise<Lent> {
    // Outside: a call may be guarded inside another's attempt, and must get a transaction of its own.
    const call = options.ambient.leave(() => callLibrary(options.run));
    const transaction = await inTime(
      Promise.race([call.lent, call.ended.then(() => undefined)]),
      acquireTimeout,
    );
    if (transaction !== undefined) return { call, transaction };
    call.rollBack();
    const { end } = call;
    if (end?.kind === 'resolved') {
      throw misused('The runner has resolved without calling its work. It must call work, and await it.');
    }
    throw new StoreUnavailableError(`no transaction within ${acquireTimeout} ms`, {
      cause: end === undefined ? undefined : end.error,
    });
  }

  async function tryClaim(identity: Buffer): Promise<LentClaim> {
    if (closed) throw new StoreUnavailableError('the store is closed');
    const lent = await borrow();
    const { call, transaction } = lent;
    try {
      const token = randomUUID();
      const askedMs = performance.now();
      const statement = claimThrough(options.schema, options.claimStatement(identity, token));
      const answer = await askLibrary<LibraryClaimRow>(call, transaction, statement, claimTimeout);
      if (answer.kind !== 'answered') throw claimFailed(call, answer.error);
      const { row } = answer;
      if (row.in_recovery) throw new StoreUnavailableError('the server is a replica');
      checkTransaction(row);
      const origin = originOf(row);
      if (known?.tag !== origin.tag) await checkOrigin(origin);
      if (closed) throw new StoreUnavailableError('the store is closed');
      options.onClock(row.clock_ms, askedMs);
      return { ...lent, token, row, origin };
    } catch (error) {
      call.rollBack();
      throw error;
    }
  }

  /**
   * Records that a library commits in another database would be probed for, swept and read in this one. Asked
   * again where they differ: both may have failed over since.
   */
  async function checkOrigin(origin: Origin): Promise<void> {
    known = await options.ownOrigin();
    if (known.tag === origin.tag) return;
    throw misused(
      'The runner’s transactions are in another database than the records (option `postgres`, else IDEMPOTENCY_DATABASE_URL, else DATABASE_URL). Let both reach the same one.',
    );
  }

  async function claim(identity: Buffer): Promise<Claim & { readonly attempt: Attempt }> {
    const lent = await tryClaim(identity).catch((error: unknown) => {
      const unavailable =
        error instanceof StoreUnavailableError
          ? error
          : new StoreUnavailableError('the claim failed', { cause: error });
      publish({ type: 'postgres', event: 'unavailable', error: unavailable.cause ?? unavailable });
      throw unavailable;
    });
    const attempt = openRunnerAttempt({
      ...options,
      ...lent,
      claimSettings: settingsOf(lent.row),
      onOver: () => atWork.delete(attempt),
    });
    atWork.add(attempt);
    return { ...sightingOf(lent.row, lent.origin), attempt };
  }

  return {
    claim,

    // An identity that no key can have: 32 random bytes, so that nobody ever waits for it.
    begin: async () => (await claim(randomBytes(32))).attempt,

    async check() {
      const { call, transaction, token } = await tryClaim(randomBytes(32));
      const marker = await askLibrary<{ attempt: string | null }>(call, transaction, MARKER, claimTimeout);
      call.rollBack();
      if (marker.kind !== 'answered') throw claimFailed(call, marker.error);
      if (marker.row.attempt !== token) {
        throw misused(
          'What its `query` sends does not run in the transaction that the runner has begun. Use the handle that the library gives for the transaction.',
        );
      }
      const end = await inTime(call.ended, options.commitTimeout);
      if (end?.kind === 'resolved') {
        throw misused(
          'The runner has resolved although its work had failed: an attempt that fails would be committed. Let the error through.',
        );
      }
    },

    giveUp() {
      closed = true;
      for (const attempt of atWork) attempt.die(new Error('the store was closed'));
    },
  };
}

function checkTransaction({ isolation, read_only: readOnly }: LibraryClaimRow): void {
  // At a higher level the record statement raises a serialization failure where it should find the winner's row.
  if (isolation !== 'read committed') {
    throw misused(
      `The runner’s transaction is ${isolation.toUpperCase()}. Begin it in READ COMMITTED, whatever the default of the library or the database is.`,
    );
  }
  if (readOnly === 'on') throw misused('The runner’s transaction is READ ONLY. Begin it READ WRITE.');
}

function claimFailed({ end }: LibraryCall, cause: unknown): Error {
  if (end?.kind === 'resolved') {
    return misused(
      'The runner has ended its transaction before its work was done. It must return, or await, what work gives.',
    );
  }
  if (cause instanceof ConfigurationError) return cause;
  return new StoreUnavailableError('the claim failed', { cause });
}

function misused(what: string): ConfigurationError {
  return new ConfigurationError(`The option \`transaction\`: ${what}`);
}
