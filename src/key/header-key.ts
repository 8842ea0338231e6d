/** Knows how a key is written in the `Idempotency-Key` header: bare, or as an RFC 8941 string. */

import type { IdempotencyError } from '../errors/idempotency-error.ts';
import { invalidKey } from './key-form.ts';

// A quoted key of 255 characters, each of them escaped.
const MAX_HEADER_LENGTH = 2 * 255 + 2;

/**
 * Returns the one key that the header holds, unescaped; its form is for `checkKey` to judge.
 *
 * @throws IdempotencyError KEY_INVALID for lists, parameters, broken strings and repeated headers, even if
 * both copies are the same: HTTP leaves open which of them a proxy or a server sees.
 */
export function readHeaderKey(header: string | readonly string[], coordinate: string): string {
  const values = typeof header === 'string' ? [header] : header;
  if (values.length > 1) throw invalidHeader(coordinate, MORE_THAN_ONE);
  const value = values[0] ?? '';
  if (value.length > MAX_HEADER_LENGTH) {
    throw invalidHeader(coordinate, 'is too long (at most 255 characters)');
  }
  return value.startsWith('"') ? readQuoted(value, coordinate) : readBare(value, coordinate);
}

const MORE_THAN_ONE = 'must be a single value, but there is more than one';
const PARAMETERS = 'must be a single value without parameters';
const MALFORMED = 'starts with a quote but is not a well-formed quoted string';

function readBare(value: string, coordinate: string): string {
  // Node joins repeated headers with a comma.
  if (value.includes(',')) throw invalidHeader(coordinate, MORE_THAN_ONE);
  if (value.includes(';')) throw invalidHeader(coordinate, PARAMETERS);
  if (value.includes('"')) throw invalidHeader(coordinate, 'holds a quote; quote all of it or nothing');
  return value;
}

function readQuoted(value: string, coordinate: string): string {
  let key = '';
  for (let index = 1; index < value.length; index += 1) {
    let character = value[index]!;
    if (character === '"') return endQuoted(key, value.slice(index + 1), coordinate);
    if (character === '\\') {
      index += 1;
      character = value[index] ?? '';
      if (character !== '"' && character !== '\\') throw invalidHeader(coordinate, MALFORMED);
    }
    key += character;
  }
  throw invalidHeader(coordinate, MALFORMED);
}

function endQuoted(key: string, rest: string, coordinate: string): string {
  if (rest === '') return key;
  const next = rest.trimStart();
  if (next.startsWith(',')) throw invalidHeader(coordinate, MORE_THAN_ONE);
  if (next.startsWith(';')) throw invalidHeader(coordinate, PARAMETERS);
  throw invalidHeader(coordinate, MALFORMED);
}

function invalidHeader(coordinate: string, reason: string): IdempotencyError {
  return invalidKey({ coordinate, source: 'header' }, reason);
}
