/** What Postgres's error codes mean for an attempt. */

/** Raised by the record statement: another attempt has completed this identity. */
export const IDENTITY_COMPLETED = 'GI001';
/** Raised by the record statement: the attempt's transaction was ended by somebody else. */
export const ATTEMPT_ENDED = 'GI002';
/** Raised by the journal: the fence is another's by now. */
export const LEASE_LOST = 'GI003';
export const FAILED_TRANSACTION = '25P02';
/** The claim began it read write; only the resolver can have changed that. */
export const READ_ONLY_TRANSACTION = '25006';
export const LOCK_TIMEOUT = '55P03';

/** Sent by a session that is about to end; they say nothing of a COMMIT under way. */
const FATAL_STATES = new Set(['25P03', '25P04', '57P01', '57P02', '57P03', '57P04', '57P05']);
const CAUSED_BY_POSTGRES = /^(?:40|57|08)/;
const SQLSTATE = /^[0-9A-Z]{5}$/;

/** Returns the SQLSTATE of a server's error, or `undefined` for anything else (a lost connection, say). */
export function sqlStateOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && SQLSTATE.test(code) && severity !== undefined ? code : undefined;
}

/**
 * Whether a refused COMMIT, or record statement, says that the resolver left what cannot be committed: a failed or
 * read-only transaction, or rows that a deferred constraint refuses in the end (class 23).
 */
export function cannotCommit(state: string | undefined): boolean {
  return state === FAILED_TRANSACTION || state === READ_ONLY_TRANSACTION || state?.startsWith('23') === true;
}

/** Whether the server refused the statement and its session lives on: then the statement did nothing. */
export function isRefusal(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state === undefined || !isRefusalState(state)) return false;
  const { severity } = error as { severity?: unknown };
  return severity !== 'FATAL' && severity !== 'PANIC';
}

/** Whether a session that sent this code lives on, as far as the code tells. */
export function isRefusalState(state: string): boolean {
  return !FATAL_STATES.has(state) && !state.startsWith('08');
}

/**
 * Whether an error, or one that it wraps, says that Postgres ended the work: serialization failures and
 * deadlocks (40), timeouts and shutdowns (57), lost connections (08).
 */
export function isCausedByPostgres(error: unknown): boolean {
  return someCause(error, (cause) => CAUSED_BY_POSTGRES.test(sqlStateOf(cause) ?? ''));
}

/** Whether an error, or one that it wraps, is what is asked for. */
export function someCause(error: unknown, wanted: (cause: object) => boolean): boolean {
  let current = error;
  for (let depth = 0; depth < 8 && typeof current === 'object' && current !== null; depth += 1) {
    if (wanted(current)) return true;
    const wrapper = current as { cause?: unknown; originalError?: unknown };
    current = wrapper.cause ?? wrapper.originalError;
  }
  return false;
}
