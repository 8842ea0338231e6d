/** What outlives every kill: the provider, the database, and another process's service, which clients retry at. */

import pg from 'pg';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { PostgresProxy } from '../../support/postgres-proxy.ts';
import { startService } from '../../support/service.ts';
import type { Service, ServiceOptions } from '../../support/service.ts';
import { startProvider } from './provider.ts';
import type { Provider } from './provider.ts';
import { startTransferChild } from './transfer-child.ts';
import type { TransferChild } from './transfer-child.ts';
import { transferOperation, transferResolvers, transferTypeDefs } from './transfer.ts';
import type { Policy, Transfer, TransferRun } from './transfer.ts';

export interface StageOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  /** Whether the service is to make the library's tables. */
  readonly migrate: boolean;
  /** How long the leases of the processes live that are killed. */
  readonly leaseMs: number;
  /** Whether retries wait that long, or the test has the time pass for them. */
  readonly leasesEnd: 'in-time' | 'when-asked';
}

export interface Stage {
  readonly leasesEnd: StageOptions['leasesEnd'];
  readonly provider: Provider;
  readonly living: Service;
  /** Another, of which the first knows nothing; it knows Postgres only. */
  readonly rival: Service;
  readonly rivalProxy: PostgresProxy;
  /** The runs of the resolver in the services that live. */
  readonly runs: readonly TransferRun[];
  /** What is waited for, by note, before a run in one of them returns. */
  readonly meanwhile: Map<string, () => Promise<void>>;
  /** The database, past the library. */
  readonly direct: pg.Pool;
  startChild(connections: number): Promise<TransferChild>;
  close(): Promise<void>;
}

export async function startStage(options: StageOptions): Promise<Stage> {
  const { databaseUrl, redisUrl, redisPrefix, leaseMs } = options;
  const provider = await startProvider();
  const runs: TransferRun[] = [];
  const meanwhile = new Map<string, () => Promise<void>>();
  const direct = new pg.Pool({ connectionString: databaseUrl, max: 30 });
  direct.on('error', () => {});
  const serviceOf = (more: Partial<ServiceOptions>, settings: ServiceOptions['options']): Promise<Service> =>
    startService({
      databaseUrl,
      options: { redisPrefix, redisTimeout: 2000, acquireTimeout: 60_000, ...settings },
      typeDefs: transferTypeDefs,
      resolvers: transferResolvers({
        providerUrl: provider.url,
        at: (point, note) => (point === 'after-steps' ? meanwhile.get(note)?.() : undefined),
        onRun: (run) => runs.push(run),
      }),
      ...more,
    });
  const living = await serviceOf({ redis: redisUrl }, { migrate: options.migrate });
  const rivalProxy = await startPostgresProxy({ target: databaseUrl });
  const rival = await serviceOf(
    { databaseUrl: rivalProxy.url },
    // What is held in its proxy must neither be given up nor keep others waiting.
    { migrate: false, claimTimeout: 29_000, poolSize: 100 },
  );
  return {
    leasesEnd: options.leasesEnd,
    provider,
    living,
    rival,
    rivalProxy,
    runs,
    meanwhile,
    direct,
    startChild: (connections) =>
      startTransferChild({
        databaseUrl,
        redisUrl,
        redisPrefix,
        leaseMs,
        connections,
        providerUrl: provider.url,
      }),
    async close() {
      await living.stop();
      await rival.stop();
      await rivalProxy.close();
      await direct.end();
      await provider.close();
    },
  };
}

/** What a client got. */
export interface Answered {
  /** `executed`, `replayed`, the code of the refusal, or `no answer`. */
  readonly outcome: string;
  readonly transfer: Transfer | undefined;
}

/** Calls the mutation of a policy; the note is the key. */
export async function callTransfer(
  url: string,
  policy: Policy,
  note: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  let body;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: 'Bearer alice',
        'idempotency-key': note,
        ...headers,
      },
      body: JSON.stringify({ query: transferOperation(policy), variables: { note } }),
    });
    body = (await response.json()) as {
      readonly data?: { readonly transfer: Transfer | null };
      readonly errors?: readonly {
        readonly message: string;
        readonly extensions?: { readonly code: string };
      }[];
      readonly extensions?: { readonly idempotency?: { readonly transfer?: { readonly outcome: string } } };
    };
  } catch {
    return { outcome: 'no answer', transfer: undefined };
  }
  const outcome =
    body.extensions?.idempotency?.transfer?.outcome ??
    body.errors?.[0]?.extensions?.code ??
    JSON.stringify(body);
  return { outcome, transfer: body.data?.transfer ?? undefined };
}
