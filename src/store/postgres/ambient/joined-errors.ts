/** Why an attempt must not commit, or a part of it not go on, in words for whoever wrote the resolver. */

import { FAILED_TRANSACTION } from '../sqlstate.ts';

export function undone(): Error {
  return new Error(
    'A transaction was rolled back in which others had written, at the same time or without its handle: their writes would be lost. Write through the handle of the transaction, or await one part before the next begins.',
  );
}

export function swallowed(): Error {
  return new Error(
    'COMMIT was sent for a transaction in which a statement had failed: it was rolled back. Let the error of a statement through, or put the statement that may fail into a transaction of its own.',
  );
}

export function unfinished(): Error {
  return new Error(
    'The resolver settled while a transaction that it had begun was open: neither COMMIT nor ROLLBACK had been sent. Await every transaction before the resolver returns.',
  );
}

/** What Postgres says to whoever goes on in a transaction that has failed. */
export function aborted(): Error {
  return Object.assign(
    new Error('current transaction is aborted, commands ignored until end of transaction block'),
    { code: FAILED_TRANSACTION, severity: 'ERROR' },
  );
}

export function releasedInside(): Error {
  return new Error(
    'A client was released inside a transaction that it had begun: neither COMMIT nor ROLLBACK was sent.',
  );
}
