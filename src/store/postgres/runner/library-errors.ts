/** Finds what Postgres said in the errors of libraries, each of which wraps the driver's in its own way. */

import { isRefusalState } from '../sqlstate.ts';

/** Digits first, or one of the few classes of letters: node's `EPIPE` and Prisma's `P2010` are no such codes. */
const SQLSTATE = /^(?:\d[0-9A-Z]{4}|(?:F0|GI|HV|P0|XX)[0-9A-Z]{3})$/;
const CAUSED_BY_POSTGRES = /^(?:40|57|08)/;
const CODES = ['originalCode', 'code', 'sqlState', 'sqlstate'];
const WRAPPED = [
  'cause',
  'originalError',
  'original',
  'parent',
  'driverError',
  'nativeError',
  'driverAdapterError',
  'meta',
];
const MAX_LOOKED_AT = 32;

/** What `pg` says of a connection that is gone. Not node's codes: a resolver may have called others than Postgres. */
const LOST = /^Connection terminated/;

/** Returns the SQLSTATE of the server's error that this one is or wraps; `undefined` where none can be found. */
export function sqlStateWithin(error: unknown): string | undefined {
  return firstWithin(error, (fields) => {
    const codes = CODES.map((name) => fields[name]);
    return codes.find((code): code is string => typeof code === 'string' && SQLSTATE.test(code));
  });
}

/** What is found first in an error, or in what it wraps. */
function firstWithin<T>(
  error: unknown,
  find: (fields: Readonly<Record<string, unknown>>) => T | undefined,
): T | undefined {
  const left: unknown[] = [error];
  for (let looked = 0; looked < MAX_LOOKED_AT && left.length > 0; looked += 1) {
    const current = left.shift();
    if (typeof current !== 'object' || current === null) continue;
    const fields = current as Readonly<Record<string, unknown>>;
    const found = find(fields);
    if (found !== undefined) return found;
    left.push(...WRAPPED.map((name) => fields[name]));
  }
  return undefined;
}

/** Whether the server refused the statement and its session lives on: then the statement did nothing. */
export function isServerRefusal(error: unknown): boolean {
  const state = sqlStateWithin(error);
  return state !== undefined && isRefusalState(state);
}

/** Whether Postgres ended the work: serialization failures and deadlocks, timeouts and shutdowns, lost connections. */
export function isCausedByServer(error: unknown): boolean {
  const state = sqlStateWithin(error);
  return state === undefined ? isLost(error) : CAUSED_BY_POSTGRES.test(state);
}

/** The server's own error may not have arrived before the connection was gone. */
function isLost(error: unknown): boolean {
  return firstWithin(error, ({ message }) => LOST.test(String(message)) || undefined) === true;
}
