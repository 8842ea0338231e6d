/** The calling conventions of `client.query`: text or object, with a promise or a callback. */

import type { CustomTypesConfig, QueryConfig } from 'pg';
import type { Result } from '../statement-queue.ts';
import { refusal } from '../statement-queue.ts';
import type { Joinable } from './joinable.ts';
import type { Owner } from './turns.ts';

/** What `client.query` is called with. */
export type QueryArguments = readonly unknown[];

type Callback = (error: unknown, result?: Result) => void;

/** Answers a call of `client.query` from an attempt's transaction. `types` are the client's own parsers. */
export function joinedQuery(
  transaction: Joinable,
  owner: Owner,
  types: CustomTypesConfig,
  args: QueryArguments,
): unknown {
  if (isSubmittable(args[0])) return failedQuery(args, notText());
  const callback = callbackOf(args);
  const answer = run(transaction, owner, types, args);
  // A failed statement that nobody awaits must not end the process: it has failed the transaction.
  answer.catch(ignore);
  if (callback === undefined) return answer;
  answer.then(
    (result) => callback(null, result),
    (error: unknown) => callback(error),
  );
  return undefined;
}

/** Answers a call of `client.query` or `pool.query` with an error, as it would be answered. */
export function failedQuery(args: QueryArguments, error: Error): unknown {
  const [statement] = args;
  if (isSubmittable(statement) && typeof statement.handleError === 'function') {
    // Whoever made it listens to it, and to nothing else: unheard, a stream would wait for its first row for ever.
    process.nextTick(() => statement.handleError?.(error));
    return statement;
  }
  const callback = callbackOf(args);
  if (callback === undefined) return refusal(error);
  process.nextTick(callback, error);
  return undefined;
}

/** The text of a call of `client.query`, where it has one. */
export function textOf([statement]: QueryArguments): string | undefined {
  if (typeof statement === 'string') return statement;
  const text = (statement as { readonly text?: unknown } | null | undefined)?.text;
  return typeof text === 'string' ? text : undefined;
}

function run(
  transaction: Joinable,
  owner: Owner,
  types: CustomTypesConfig,
  args: QueryArguments,
): Promise<Result> {
  const [statement, second] = args;
  const text = textOf(args);
  if (text === undefined) return refusal(notText());
  const given = (Array.isArray(second) ? second : undefined) as readonly unknown[] | undefined;
  const config: QueryConfig = typeof statement === 'string' ? { text } : { ...(statement as QueryConfig) };
  const values = given ?? config.values;
  // Its own: the caller may change the array before its turn has come.
  if (values !== undefined) config.values = [...values];
  config.types ??= types;
  if ('callback' in config) config.callback = undefined;
  return transaction.run(owner, config);
}

function ignore(): void {}

function callbackOf(args: QueryArguments): Callback | undefined {
  const last = args.at(-1);
  if (typeof last === 'function') return last as Callback;
  const callback = (args[0] as { readonly callback?: unknown } | null | undefined)?.callback;
  return typeof callback === 'function' ? (callback as Callback) : undefined;
}

/** What sends itself: `pg`'s own queries, cursors and streams. */
interface Submittable {
  submit(connection: unknown): unknown;
  handleError?(error: Error): void;
}

function isSubmittable(statement: unknown): statement is Submittable {
  return typeof (statement as { readonly submit?: unknown } | null)?.submit === 'function';
}

function notText(): TypeError {
  return new TypeError(
    'Inside a guarded call, a client takes SQL text or an object with `text`: cursors and streams would hold the connection on which its record is written.',
  );
}
