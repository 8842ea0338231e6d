/** A service over two proxies: one between its library and Postgres, one before the store's own connections. */

import type { GraphQLResolveInfo } from 'graphql';
import pg from 'pg';
import { pay, shortTimeouts } from '../../faults/postgres/retries.ts';
import { createDatabase } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { PostgresProxy } from '../../support/postgres-proxy.ts';
import type { MessageMatch } from '../../support/proxy-rules.ts';
import { startService } from '../../support/service.ts';
import type { Service, ServiceOptions } from '../../support/service.ts';
import { eventually } from '../../support/signal.ts';
import { libraryOn } from './libraries.ts';
import type { LibraryOptions } from './libraries.ts';

export const RECORD: MessageMatch = { from: 'client', sql: /\.complete\(/ };
export const COMMIT: MessageMatch = { from: 'client', sql: /^commit$/ };
export const COMMITTED: MessageMatch = { from: 'server', tag: 'COMMIT' };

export interface Stage {
  readonly service: Service;
  /** Between the library and Postgres. */
  readonly libraryProxy: PostgresProxy;
  readonly ownProxy: PostgresProxy;
  /** The library's. */
  readonly pool: pg.Pool;
  /** The test's own connection. */
  readonly direct: pg.Client;
  /** What the library does in its own way. */
  library: LibraryOptions;
  /** What `pay` does, and `loose`, which takes no key. */
  resolver: (client: pg.PoolClient, note: string) => unknown;
  /** Starts another service like the first one. */
  start(options?: ServiceOptions['options']): Promise<Service>;
  /** Makes connections, before a test makes rules for messages. */
  warm(): Promise<void>;
  heal(): Promise<void>;
  /** Waits until no transaction is open any more. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

export async function makeStage(): Promise<Stage> {
  const { url: databaseUrl } = await createDatabase({ migrated: true });
  const libraryProxy = await startPostgresProxy({ target: databaseUrl });
  const ownProxy = await startPostgresProxy({ target: databaseUrl });
  const pool = new pg.Pool({ connectionString: libraryProxy.url, max: 4 });
  pool.on('error', () => {});
  const direct = new pg.Client({ connectionString: databaseUrl });
  await direct.connect();

  async function start(options: ServiceOptions['options'] = {}): Promise<Service> {
    const started: Service = await startService({
      databaseUrl,
      options: {
        ...shortTimeouts,
        postgres: ownProxy.url,
        migrate: false,
        transaction: (work) => libraryOn(pool, stage.library)(work),
        ...options,
      },
      pay: ({ args, info }) => run(started, info, args.note!),
      typeDefs: 'extend type Mutation { loose: Int @idempotent(required: false) }',
      resolvers: () => ({
        Mutation: {
          loose: async (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) => {
            await run(started, info, 'loose');
            return 7;
          },
        },
      }),
    });
    return started;
  }

  function run({ idempotency }: Service, info: GraphQLResolveInfo, note: string): unknown {
    return stage.resolver(idempotency.current(info).client as pg.PoolClient, note);
  }

  const stage: Omit<Stage, 'service'> = {
    libraryProxy,
    ownProxy,
    pool,
    direct,
    library: {},
    resolver: insert,
    start,
    warm: async () => void (await pay(service, 'warm')),
    async heal() {
      stage.library = {};
      stage.resolver = insert;
      await libraryProxy.healAll();
      await ownProxy.healAll();
    },
    async idle() {
      await eventually(async () => {
        const { rowCount } = await direct.query(
          `select from pg_stat_activity
           where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()`,
        );
        return rowCount === 0;
      });
    },
    async close() {
      await service.stop();
      await direct.end();
      await pool.end();
      await libraryProxy.close();
      await ownProxy.close();
    },
  };
  const service = await start();
  return Object.assign(stage, { service });
}

/** Writes the payment through the library's handle. */
export async function insert(client: pg.PoolClient, note: string): Promise<unknown> {
  const { rows } = await client.query(
    'insert into payments (amount, note) values (100, $1) returning id, amount, note',
    [note],
  );
  return rows[0];
}
