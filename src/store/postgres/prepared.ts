/** Statements that Postgres parses and plans once for each connection, where nothing stands in the way. */

import { createHash } from 'node:crypto';
import { sqlStateOf } from './sqlstate.ts';

/** A statement by name, with what is to be filled in. */
export interface PreparedStatement {
  readonly name: string;
  readonly text: string;
}

/**
 * The name tells the text: behind a pooler, a connection may have been given to somebody who has prepared
 * something else under a name of their own choice.
 */
export function prepared(text: string): PreparedStatement {
  const name = `gi_${createHash('sha256').update(text).digest('base64url').slice(0, 20)}`;
  return Object.freeze({ name, text });
}

/** Prepared statements that are not there, or are there already: a pooler has exchanged the connection. */
const EXCHANGED = new Set(['26000', '42P05']);

/** Whether statements are prepared: as long as nobody has told that a pooler is in between that can't keep them. */
export class Preparing {
  #possible: boolean;

  constructor(wanted: boolean) {
    this.#possible = wanted;
  }

  get possible(): boolean {
    return this.#possible;
  }

  /** Takes note of the error of a prepared statement. */
  noteRefusal(error: unknown): void {
    if (EXCHANGED.has(sqlStateOf(error) ?? '')) this.#possible = false;
  }
}
