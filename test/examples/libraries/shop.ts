/** One example under test: its server behind a proxy, its database, and the customers who send to it. */

import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { createDatabase, redisUrl } from '../../support/database.ts';
import type { PostgresProxy } from '../../support/postgres-proxy.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { Answer, ExampleServer } from './example-server.ts';
import { startExample } from './example-server.ts';

export interface Order {
  readonly id: string;
  readonly product: string;
  readonly quantity: number;
  readonly points: number;
}

/** What the tables have of one customer, as anyone sees it who looks at the database. */
export interface Rows {
  readonly orders: number;
  readonly points: number;
}

/** A customer of their own for every test, so that tests share a server and see only what is theirs. */
export interface Customer {
  placeOrder(key: string | undefined, product: string, quantity: number): Promise<Answer>;
  /** What `Query.orders` says. */
  orders(): Promise<readonly Order[]>;
  rows(): Promise<Rows>;
}

export interface Shop {
  readonly proxy: PostgresProxy;
  newCustomer(): Customer;
  /** How many records of keys there are. */
  records(): Promise<number>;
  /** How many transactions are open that have written to the table of orders. */
  openWrites(): Promise<number>;
  /** Kills the server, and has Postgres see its connections gone. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** Ends the server in order, and removes everything. */
  close(): Promise<void>;
  output(): string;
}

const PLACE_ORDER = `mutation ($product: String!, $quantity: Int!) {
  placeOrder(product: $product, quantity: $quantity) { id product quantity points }
}`;

/** Starts the server that lies in this folder, on a database that is empty. */
export async function openShop(folder: string): Promise<Shop> {
  const database = await createDatabase();
  const proxy = await startPostgresProxy({ target: database.url });
  const observer = new pg.Pool({ connectionString: database.url, max: 1 });
  const start = (): Promise<ExampleServer> =>
    startExample({ folder, databaseUrl: proxy.url, redisUrl: redisUrl() });
  let server = await start();

  async function count(sql: string, parameters: readonly string[] = []): Promise<number> {
    const { rows } = await observer.query<{ n: number }>(`select count(*)::integer as n ${sql}`, [
      ...parameters,
    ]);
    return rows[0]!.n;
  }

  function newCustomer(): Customer {
    const user = `customer-${randomUUID()}`;
    return {
      placeOrder: (key, product, quantity) =>
        server.send({ query: PLACE_ORDER, variables: { product, quantity }, user, key }),
      async orders() {
        const answer = await server.send({ query: '{ orders { id product quantity points } }', user });
        if (!answer.data) throw new Error(`No orders: ${answer.text}`);
        return answer.data['orders'] as Order[];
      },
      rows: async () => ({
        orders: await count('from orders where customer = $1', [user]),
        points: await count('from points as p join orders as o on o.id = p.order_id where customer = $1', [
          user,
        ]),
      }),
    };
  }

  return {
    proxy,
    newCustomer,
    records: () => count('from graphql_idempotency.record'),
    openWrites: () =>
      count(`from pg_locks where relation = 'orders'::regclass and mode = 'RowExclusiveLock' and granted`),
    async kill() {
      await server.end('SIGKILL');
      // What the proxy holds of a dead client's would keep Postgres from seeing its end.
      proxy.cut();
      await proxy.healAll();
    },
    async restart() {
      server = await start();
    },
    async close() {
      await server.end('SIGTERM').catch(async (error: unknown) => {
        await server.end('SIGKILL');
        throw error;
      });
      await observer.end();
      await proxy.close();
      await database.drop();
    },
    output: () => server.output(),
  };
}
