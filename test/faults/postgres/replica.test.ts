/** A replica never answers for a record, whenever it is met; after its promotion it is the primary. */

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConfigurationError, createIdempotency } from 'graphql-idempotency';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { type PostgresServer, startPostgres } from '../../support/postgres-server.ts';
import { type Service, startService } from '../../support/service.ts';
import { eventually } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, pay, shortTimeouts } from './retries.ts';

let primary: PostgresServer;
let standby: PostgresServer;
/** An address that follows whatever the test says is the primary. */
let address: PostgresProxy;
let service: Service;
/** Where the test itself reads and writes. */
let testUrl: string;

beforeAll(async () => {
  primary = await startPostgres({ settings: { wal_level: 'replica' } });
  standby = await primary.startStandby();
  address = await startPostgresProxy({ target: primary.url });
  testUrl = address.url;
  service = await startService({ databaseUrl: testUrl, options: { ...shortTimeouts } });
  await expectOnePayment(service, 'before', 'executed');
  await eventually(async () => (await count(standby.url)) === 1);
});

afterAll(async () => {
  await service.stop();
  await address.close();
  await Promise.all([primary.remove(), standby.remove()]);
});

describe('a replica', () => {
  it.each([false, true])('is refused at startup, with migrate: %s', async (migrate) => {
    const idempotency = createIdempotency({
      scope: () => 'alice',
      postgres: standby.url,
      redis: false,
      migrate,
      logger: { info: () => {}, warn: () => {}, error: () => {} },
    });
    const refused = await idempotency.open().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ConfigurationError);
    expect((refused as Error).message).toMatch(/replica.*primary/s);
    await idempotency.close();
  });

  it('is refused by every claim, the replayable ones too, and nothing runs', async () => {
    address.retarget(standby.url);
    address.cut();
    const runs = service.runs();
    expect(outcomeOf(await pay(service, 'new'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    expect(outcomeOf(await pay(service, 'before'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    expect(service.runs()).toBe(runs);
    address.retarget(primary.url);
    address.cut();
    await expectOnePayment(service, 'new', 'executed');
  });

  it('is the primary once it is promoted: it replays what it received, and executes what is new', async () => {
    await eventually(async () => (await count(standby.url)) === 2);
    await primary.stop('immediate');
    address.retarget(standby.url);
    address.cut();
    expect(outcomeOf(await pay(service, 'after'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    await query(standby.url, 'select pg_promote()');
    await expectOnePayment(service, 'before', 'replayed');
    await expectOnePayment(service, 'after', 'executed');
  });
});

async function count(url: string): Promise<number> {
  const rows = await query(url, 'select count(*)::int as n from graphql_idempotency.record');
  return rows[0]!['n'] as number;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}
