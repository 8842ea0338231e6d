/** Says to relays that events were committed: to those of this process, and by NOTIFY to those of others. */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { commitAlone } from '../own-transaction.ts';
import type { OwnTransactionContext } from '../own-transaction.ts';
import { quoteIdentifier } from '../quote-identifier.ts';
import { cut } from '../session.ts';
import { literal } from '../sql-literal.ts';

export interface EventHintsOptions extends OwnTransactionContext {
  readonly schema: string;
  readonly namespace: string;
  /** Whether other processes are to be told. */
  readonly outboxNotify: boolean;
}

export interface EventHints {
  /** An attempt has committed that had added events. */
  committed(): void;
  watch(listener: () => void, remote: boolean): () => void;
  close(): void;
}

const RETRY_MS = 1000;

export function eventHints(options: EventHintsOptions): EventHints {
  const channel = channelOf(options);
  const local = new Set<() => void>();
  const remote = new Set<() => void>();
  let telling: 'idle' | 'telling' | 'again' = 'idle';
  let listening: AbortController | undefined;

  /**
   * In a transaction of its own: in the attempt's, NOTIFY would make all commits that notify wait for each other. One
   * at a time, because one that comes later says all that those before it had to say.
   */
  async function tell(): Promise<void> {
    do {
      telling = 'telling';
      const notify = `select pg_catalog.pg_notify(${literal(channel)}, '')`;
      await commitAlone(options, 'either', [notify], options.claimTimeout);
    } while (wasAskedAgain());
    telling = 'idle';
  }

  function wasAskedAgain(): boolean {
    return telling === 'again';
  }

  async function listen({ signal }: AbortController): Promise<void> {
    while (!signal.aborted) {
      try {
        const client = await options.pools.apart();
        if (client === undefined) return;
        await hear(client, signal);
      } catch {
        // Without it relays find their events by looking; it is tried again.
      }
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Resolves when the connection is lost, or not needed any more. */
  async function hear(client: PoolClient, signal: AbortSignal): Promise<void> {
    const lost = new Promise<void>((resolve) => {
      client.once('error', resolve);
      client.once('end', resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const onNotification = (): void => {
      for (const listener of remote) listener();
    };
    client.on('notification', onNotification);
    try {
      await Promise.race([client.query(`listen ${quoteIdentifier(channel)}`), lost]);
      // What was said before there was somebody to hear it.
      onNotification();
      await lost;
    } finally {
      client.off('notification', onNotification);
      client.on('error', () => {});
      cut(client);
      client.release(true);
    }
  }

  return {
    committed() {
      for (const listener of local) listener();
      if (!options.outboxNotify) return;
      if (telling === 'idle') void tell();
      else telling = 'again';
    },
    watch(listener, isRemote) {
      local.add(listener);
      if (isRemote) {
        remote.add(listener);
        if (listening === undefined) void listen((listening = new AbortController()));
      }
      return () => {
        local.delete(listener);
        remote.delete(listener);
        if (remote.size > 0) return;
        listening?.abort();
        listening = undefined;
      };
    },
    close() {
      listening?.abort();
      listening = undefined;
    },
  };
}

/** Of this schema and namespace; names in Postgres have 63 bytes. */
function channelOf({ schema, namespace }: Pick<EventHintsOptions, 'schema' | 'namespace'>): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([schema, namespace]))
    .digest('hex');
  return `graphql_idempotency_outbox_${digest.slice(0, 16)}`;
}
