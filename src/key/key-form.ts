/** Knows what a key looks like, whichever source it came from. */

import type { KeyFormat } from '../config/options.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';

/** A key whose form has been checked: 1-255 characters 0x21-0x7E, and whatever `keyFormat` demands. */
export type Key = string & { readonly __brand: 'Key' };

/** Where a key came from: the field's directive, the field's `keyArgument`, or the request. */
export type KeySource = 'directive' | 'argument' | 'extension' | 'header';

/** What a key was sent for and where, so that an error can say so. */
export interface KeyOrigin {
  readonly coordinate: string;
  readonly source: KeySource;
}

/** How errors call each source. */
export const sourceNames = {
  directive: '`@idempotent(key:)`',
  argument: 'its key argument',
  extension: '`extensions.idempotencyKey`',
  header: 'the header `Idempotency-Key`',
} as const satisfies Record<KeySource, string>;

const MAX_KEY_LENGTH = 255;
const VISIBLE_ASCII = /^[\x21-\x7e]*$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Returns the value as a key, exactly as it was sent: nothing is trimmed or folded.
 *
 * @throws IdempotencyError KEY_INVALID, saying why but never repeating the key.
 */
export function checkKey(value: unknown, where: KeyOrigin, format?: KeyFormat): Key {
  if (typeof value !== 'string') throw invalidKey(where, 'must be a string');
  if (value === '') throw invalidKey(where, 'is empty');
  // The length comes first: a key of 10 MB must not be scanned, let alone hashed.
  if (value.length > MAX_KEY_LENGTH) {
    throw invalidKey(where, `is too long (at most ${MAX_KEY_LENGTH} characters)`);
  }
  if (!VISIBLE_ASCII.test(value)) {
    throw invalidKey(where, 'must consist of visible ASCII characters (0x21-0x7E), without spaces');
  }
  if (format !== undefined && !hasFormat(value, format, where)) {
    throw invalidKey(where, 'does not have the format that this server demands');
  }
  return value as Key;
}

/** Makes the KEY_INVALID error of a source; `reason` completes "the idempotency key …". */
export function invalidKey(where: KeyOrigin, reason: string, cause?: unknown): IdempotencyError {
  const message = `${where.coordinate}: the idempotency key in ${sourceNames[where.source]} ${reason}.`;
  return new IdempotencyError('IDEMPOTENCY_KEY_INVALID', message, { cause });
}

function hasFormat(key: string, format: KeyFormat, where: KeyOrigin): boolean {
  if (format === 'uuid') return UUID.test(key);
  try {
    // `search` starts at 0 whatever `lastIndex` a global or sticky expression was left with; `test` does not.
    if (format instanceof RegExp) return key.search(format) !== -1;
    // Strictly true: the promise of an async function would otherwise accept every key.
    const accepted: unknown = format(key);
    // Unheard, its rejection would end the process.
    if (accepted instanceof Promise) accepted.catch(() => {});
    return accepted === true;
  } catch (error) {
    throw invalidKey(where, 'could not be checked against the format that this server demands', error);
  }
}
