/** The inbox on Postgres: what could not be handled, each note in a transaction of its own. */

import { publish } from '../../../telemetry/channels.ts';
import type { DeadMessageRow, FailureCounts, InboxStore } from '../../inbox-port.ts';
import { StoreUnavailableError } from '../../port.ts';
import { commitAlone, untilAnswered } from '../own-transaction.ts';
import type { Committed, OwnTransactionContext } from '../own-transaction.ts';
import { inboxStatementsFor } from './inbox-statements.ts';

export interface InboxStoreOptions extends OwnTransactionContext {
  readonly schema: string;
  readonly namespace: string;
  readonly probeTimeout: number;
  readonly transactionTimeout: number;
}

export interface PostgresInbox extends InboxStore {
  /**
   * Removes what was noted of messages that have not come for `ttlMs`, and are not dead: at most `batchSize`.
   *
   * @throws StoreUnavailableError
   */
  sweep(batchSize: number, ttlMs: number): Promise<number>;
}

export function inboxStore(options: InboxStoreOptions): PostgresInbox {
  const { schema, namespace, claimTimeout, probeTimeout, transactionTimeout } = options;
  const statements = inboxStatementsFor(schema, namespace);

  /** Sends it as often as it takes to be answered. */
  async function insist(statement: string): Promise<Answered> {
    return answered(
      await untilAnswered(probeTimeout, (remainingMs) =>
        commitAlone(options, 'either', [statement], Math.min(remainingMs, claimTimeout)),
      ),
    );
  }

  /** Of an operator's: over many rows, perhaps. */
  async function once(statement: string): Promise<Answered> {
    return answered(await commitAlone(options, 'either', [statement], transactionTimeout));
  }

  return {
    begin: async (message, crashLimit) => countsOf(await insist(statements.begin(message, crashLimit))),
    async giveBack(identity) {
      await insist(statements.giveBack(identity));
    },
    fail: async (message, failure) => countsOf(await insist(statements.fail(message, failure))),
    async forget(message) {
      return (await insist(statements.forget(message))).results[0]!.rowCount === 1;
    },
    async sweep(batchSize, ttlMs) {
      return (await once(statements.sweep(ttlMs, batchSize))).results[0]!.rowCount ?? 0;
    },
    async dead({ filter, after, limit }) {
      if ('identities' in filter && filter.identities.length === 0) return [];
      const { results } = await once(statements.dead(filter, after, limit));
      return results[0]!.rows.map((row) => deadMessageOf(row as unknown as DeadRow));
    },
    async discard(filter) {
      if ('identities' in filter && filter.identities.length === 0) return 0;
      return (await once(statements.discard(filter))).results[0]!.rowCount ?? 0;
    },
  };
}

type Answered = Extract<Committed, { readonly kind: 'committed' }>;

function answered(committed: Committed): Answered {
  if (committed.kind === 'committed') return committed;
  publish({ type: 'postgres', event: 'unavailable', error: committed.error });
  if (committed.error instanceof StoreUnavailableError) throw committed.error;
  throw new StoreUnavailableError('the inbox did not answer', { cause: committed.error });
}

function countsOf({ results }: Answered): FailureCounts {
  const row = results[0]!.rows[0]!;
  return {
    failures: Number(row['failures']),
    crashes: Number(row['crashes']),
    isDead: row['is_dead'] === true,
  };
}

interface DeadRow {
  readonly position: string;
  readonly identity: string;
  readonly consumer: string;
  readonly message_id: string;
  readonly codec_version: number;
  readonly message: string;
  readonly failures: number;
  readonly crashes: number;
  readonly last_error: string;
  readonly first_ms: number;
  readonly died_ms: number;
}

function deadMessageOf(row: DeadRow): DeadMessageRow {
  return {
    position: row.position,
    identity: Buffer.from(row.identity, 'hex'),
    consumer: row.consumer,
    messageId: row.message_id,
    codecVersion: row.codec_version,
    body: Buffer.from(row.message, 'hex'),
    failures: row.failures,
    crashes: row.crashes,
    lastError: row.last_error,
    firstMs: row.first_ms,
    diedMs: row.died_ms,
  };
}
