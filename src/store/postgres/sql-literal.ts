/** Writes values into SQL text, so that several statements can travel as one message. */

import { escapeLiteral } from 'pg';

/**
 * Returns a literal for text, a number or bytes. Bytes are written without the backslash of `'\x…'`: a
 * resolver may have changed how this transaction reads backslashes.
 */
export function literal(value: string | number | Buffer): string {
  if (typeof value === 'string') return escapeLiteral(value);
  return typeof value === 'number' ? `'${value}'` : `pg_catalog.decode('${value.toString('hex')}', 'hex')`;
}
