/** What a client is answered whose command was another one in Postgres, or none. */

import type { Result } from '../statement-queue.ts';

/** The result, under the name of the command that the client has sent. */
export function tagged(result: Result, command: string): Result {
  result.command = command;
  return result;
}

export function emptyResult(command: string): Result {
  return { command, rowCount: null, oid: 0, fields: [], rows: [] };
}
