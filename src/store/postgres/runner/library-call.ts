/** One call of a transaction runner: when it lends its transaction, how the work ends, and what became of it. */

import type { RunnerTransaction, TransactionRunner } from '../../../config/transaction-runner.ts';

/** How the runner has ended. */
export type LibraryEnd =
  | { readonly kind: 'resolved' }
  | { readonly kind: 'rejected'; readonly error: unknown };

/** What a runner does with its work: nothing of it may be believed before it was tried. */
export interface LibraryCall {
  /** Resolves when the runner has called its work. It need not ever do so. */
  readonly lent: Promise<RunnerTransaction>;
  /** Resolves when the runner has settled; never rejects. It need not ever do so. */
  readonly ended: Promise<LibraryEnd>;
  /** How it has ended, as far as that is known. */
  readonly end: LibraryEnd | undefined;
  /** Lets the work resolve, so that the library commits. */
  commit(): void;
  /** Lets the work reject, so that the library rolls back; work that is called from now on rejects at once. */
  rollBack(): void;
}

export function callLibrary(run: TransactionRunner): LibraryCall {
  let lend: (transaction: RunnerTransaction) => void = () => {};
  let commit: () => void = () => {};
  let rollBack: () => void = () => {};
  let calls = 0;
  let end: LibraryEnd | undefined;
  const lent = new Promise<RunnerTransaction>((resolve) => {
    lend = resolve;
  });
  const decided = new Promise<void>((resolve, reject) => {
    commit = resolve;
    rollBack = () => reject(new RolledBack());
  });
  decided.catch(ignore);

  function work(transaction: RunnerTransaction): Promise<void> {
    calls += 1;
    // A library that tries again by itself: the resolver has run, and its first transaction may be committed.
    const worked = calls === 1 ? decided : Promise.reject(new CalledAgain());
    // Heard here too: a runner that does not await its work must not end the process.
    worked.catch(ignore);
    if (calls === 1) lend(transaction);
    return worked;
  }

  async function runAll(): Promise<LibraryEnd> {
    try {
      await run(work);
      return { kind: 'resolved' };
    } catch (error) {
      return { kind: 'rejected', error };
    }
  }

  const ended = runAll().then((how) => (end = how));
  return {
    lent,
    ended,
    get end() {
      return end;
    },
    commit,
    rollBack,
  };
}

/** What the work rejects with where the attempt is to be rolled back: for the library, an error like any other. */
class RolledBack extends Error {
  override readonly name = 'RolledBack';
  constructor() {
    super('graphql-idempotency rolls this transaction back. The runner must let this error through.');
  }
}

class CalledAgain extends Error {
  override readonly name = 'CalledAgain';
  constructor() {
    super('The runner of the option `transaction` called its work a second time. It must not try again.');
  }
}

function ignore(): void {}
