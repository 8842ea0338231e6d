/** The SQL functions as anybody may call them, with a transaction to call them in. */

import { randomBytes } from 'node:crypto';
import type { Client } from 'pg';

export const TOKEN = 'the token of this attempt';

/** What `claim` returns, with the state of the row that it found. */
export type ClaimedRow = Readonly<Record<string, unknown>> & {
  readonly granted: boolean;
  readonly state: string | null;
};

/** An identity that nothing else has. */
export function newIdentity(): Buffer {
  return randomBytes(32);
}

/** Calls `claim` in the transaction that is open. */
export async function claim(
  client: Client,
  identity: Buffer,
  { token = TOKEN, timeoutMs = 10_000, schema = 'graphql_idempotency' } = {},
): Promise<ClaimedRow> {
  const { rows } = await client.query(
    `select * from ${client.escapeIdentifier(schema)}.claim($1, $2, $3, $4, 0)`,
    [identity, identity.readBigInt64BE(0), token, timeoutMs],
  );
  return { ...rows[0], state: rows[0].existing?.state ?? null };
}

/** Calls `complete` in the transaction that is open; returns when it completed, in milliseconds. */
export async function complete(
  client: Client,
  identity: Buffer,
  {
    token = TOKEN,
    body = Buffer.from('body'),
    ttlMs = 60_000,
    tombstoneMs = 0,
    coordinate = 'M.f',
    lockTimeoutMs = 10_000,
    schema = 'graphql_idempotency',
  } = {},
): Promise<number> {
  const { rows } = await client.query(
    `select * from ${client.escapeIdentifier(schema)}.complete(
      $1, $2, 'on', $3, $4, $5, 1::smallint, $6, 'result', 1::smallint, $7, $8, $9)`,
    [
      token,
      lockTimeoutMs,
      identity,
      Buffer.alloc(32, 2),
      coordinate,
      Buffer.alloc(32, 3),
      body,
      ttlMs,
      tombstoneMs,
    ],
  );
  return rows[0].completed_ms;
}

/** Claims and completes an identity in a transaction of its own. */
export async function completed(
  client: Client,
  identity: Buffer,
  options?: Parameters<typeof complete>[2],
): Promise<number> {
  await client.query('begin');
  await claim(client, identity);
  const completedMs = await complete(client, identity, options);
  await client.query('commit');
  return completedMs;
}

/** Begins a transaction on the client and claims the identity. */
export async function claimedTransaction(
  client: Client,
  identity: Buffer,
  options?: Parameters<typeof claim>[2],
): Promise<ClaimedRow> {
  await client.query('begin');
  return claim(client, identity, options);
}

/** Resolves when the client's backend waits for another transaction. */
export async function isWaiting(observer: Client, client: Client): Promise<boolean> {
  const { rows } = await observer.query(
    `select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'`,
    [(client as unknown as { processID: number }).processID],
  );
  return rows.length === 1;
}
