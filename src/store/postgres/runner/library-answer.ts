/** Sends a statement through a library, and tells a refusal by the server from an answer that did not come. */

import type { RunnerTransaction } from '../../../config/transaction-runner.ts';
import { ConfigurationError } from '../../../errors/configuration-error.ts';
import { startDeadline } from '../../deadline.ts';
import type { LibraryCall } from './library-call.ts';
import { isServerRefusal } from './library-errors.ts';

export type LibraryAnswer<Row> =
  | { readonly kind: 'answered'; readonly row: Row }
  /** The server refused it, so that it did nothing. */
  | { readonly kind: 'refused'; readonly error: unknown }
  /** Whether the server has it, or will get it, is not known. */
  | { readonly kind: 'unanswered'; readonly error: unknown };

/** The statement gives one row with one text, `answer`: JSON, whatever the library makes of other types. */
export async function askLibrary<Row>(
  { ended }: Pick<LibraryCall, 'ended'>,
  transaction: RunnerTransaction,
  statement: string,
  timeoutMs: number,
): Promise<LibraryAnswer<Row>> {
  async function ask(): Promise<LibraryAnswer<Row>> {
    try {
      return { kind: 'answered', row: rowOf(await transaction.query(statement, [])) as Row };
    } catch (error) {
      return { kind: isServerRefusal(error) ? 'refused' : 'unanswered', error };
    }
  }

  // A library may end its transaction by itself, and leave unanswered what it was asked in it.
  const abandoned = ended.then((): LibraryAnswer<Row> => ({
    kind: 'unanswered',
    error: new Error('the runner has ended its transaction'),
  }));
  return (
    (await inTime(Promise.race([ask(), abandoned]), timeoutMs)) ?? {
      kind: 'unanswered',
      error: new Error(`no answer for ${timeoutMs} ms`),
    }
  );
}

/** Waits for the promise, which never rejects; `undefined` when it takes longer. */
export async function inTime<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let cancel: () => void = () => {};
  const late = new Promise<undefined>((resolve) => {
    cancel = startDeadline(timeoutMs, () => resolve(undefined));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}

/**
 * Some libraries give the rows, others the driver's result, which has them.
 *
 * @throws ConfigurationError for anything else.
 */
export function rowsOf(result: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (Array.isArray(result)) return result as Readonly<Record<string, unknown>>[];
  const { rows } = (result ?? {}) as { readonly rows?: unknown };
  if (Array.isArray(rows)) return rows as Readonly<Record<string, unknown>>[];
  throw badRows();
}

function rowOf(result: unknown): unknown {
  const answer = rowsOf(result)[0]?.['answer'];
  if (typeof answer !== 'string') throw badRows();
  return JSON.parse(answer);
}

function badRows(): ConfigurationError {
  return new ConfigurationError(
    'The option `transaction`: its `query` did not give the rows as objects by the names of their columns, in an array or in an object that has it as `rows`.',
  );
}
