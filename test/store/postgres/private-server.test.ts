/** What only a server of the test's own can show: a replica, a wrong password, a role without privileges. */

import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdempotency } from 'graphql-idempotency';
import type pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { startPostgres } from '../../support/postgres-server.ts';
import type { PostgresServer } from '../../support/postgres-server.ts';
import { startService } from '../../support/service.ts';
import type { Service } from '../../support/service.ts';
import { eventually } from '../../support/signal.ts';
import { migrate } from 'graphql-idempotency/migrate';
import { connect, refusalOf } from './connection.ts';

let primary: PostgresServer;
const folder = mkdtempSync(join(tmpdir(), 'hba-'));
beforeAll(async () => {
  primary = await startPostgres();
  await migrate({ connectionString: primary.url });
});
afterAll(async () => {
  await primary.remove();
  rmSync(folder, { recursive: true });
});

const quiet = { info: () => {}, warn: () => {}, error: () => {} };

async function refusal(postgres: string | pg.PoolConfig): Promise<Error> {
  const idempotency = createIdempotency({ scope: () => 'alice', postgres, redis: false, logger: quiet });
  onTestFinished(() => idempotency.close());
  const error = await refusalOf(idempotency.open());
  expect(error.name).toBe('ConfigurationError');
  return error;
}

test('a role that may use the schema and write its tables is enough', async () => {
  const owner = await connect(primary.url);
  await owner.query(`create role app login;
    grant usage on schema graphql_idempotency to app;
    grant select on graphql_idempotency.migration, graphql_idempotency.store to app;
    grant select, insert, update, delete on graphql_idempotency.record to app;
    grant select, insert, update, delete on graphql_idempotency.step to app;
    grant select, insert, update, delete on graphql_idempotency.outbox, graphql_idempotency.outbox_pause to app;
    grant select, insert, update, delete on graphql_idempotency.inbox_failure to app;
    create table payments (id serial primary key, amount integer not null, note text);
    grant all on payments to app; grant all on sequence payments_id_seq to app;
    create role powerless; grant powerless to app`);
  const url = new URL(primary.url);
  url.username = 'app';
  const service: Service = await startService({
    databaseUrl: primary.url,
    options: { postgres: url.href, migrate: false },
    pay: async ({ tx, args, info, insert }) => {
      service.idempotency.current(info).outbox.add({ topic: 'paid', key: 'k', payload: args.note });
      const payment = await insert();
      // A resolver may lower its own privileges; the record is written under the claim's.
      if (args.note === 'lowered') await tx.query('set local role powerless');
      return payment;
    },
  });
  onTestFinished(() => service.stop());
  for (const note of ['usual', 'lowered']) {
    expect((await service.send({ key: note, variables: { note } })).body.errors).toBeUndefined();
    expect((await service.send({ key: note, variables: { note } })).headers.get('idempotent-replayed')).toBe(
      'true',
    );
  }
  expect(service.runs()).toBe(2);
  await owner.query(`update graphql_idempotency.record set completed_at = completed_at - interval '2 days',
    expires_at = expires_at - interval '2 days', takeover_after = takeover_after - interval '2 days',
    sweep_after = sweep_after - interval '2 days'`);
  expect(await service.idempotency.sweep()).toEqual({ stripped: 0, deleted: 2 });
  const published: unknown[] = [];
  const relay = service.idempotency.relay({
    publish: ({ payload }) => published.push(JSON.parse(String(payload))),
  });
  for (const pause of [true, false]) {
    await (pause ? relay.pause('paid') : relay.resume('paid'));
    await relay.drain();
  }
  expect(published).toEqual(['usual', 'lowered']);
});

test('a wrong password is not printed, and neither is the right one', async () => {
  const owner = await connect(primary.url);
  await owner.query(`create role careful login password 'right-secret'`);
  const file = join(folder, 'pg_hba.conf');
  writeFileSync(file, 'host all careful 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n');
  const { rows } = await owner.query(`select current_setting('data_directory') as data`);
  const { uid, gid } = statSync(rows[0].data);
  for (const path of [folder, file]) chownSync(path, uid, gid);
  await primary.stop();
  await primary.start({ hba_file: file });

  const url = new URL(primary.url);
  url.username = 'careful';
  for (const password of ['wrong-secret', '']) {
    url.password = password;
    const error = await refusal(url.href);
    expect(error.message).toMatch(/^Postgres cannot be reached/);
    expect(JSON.stringify([error.message, error.stack])).not.toContain('secret');
  }
  // The right one gets as far as the privileges that this role has not got.
  url.password = 'right-secret';
  const error = await refusal(url.href);
  expect(error).toMatchObject({ cause: { cause: { code: '42501' } } });
  // A pool's configuration may compute it.
  const { hostname: host, port } = url;
  const config = {
    host,
    port: Number(port),
    user: 'careful',
    database: 'postgres',
    password: async () => 'right-secret',
  };
  expect(await refusal(config)).toMatchObject({ cause: { cause: { code: '42501' } } });
});

test('a replica is refused', async () => {
  const standby = await primary.startStandby();
  onTestFinished(() => standby.remove());
  const client = await connect(standby.url);
  await eventually(
    async () => (await client.query('select pg_is_in_recovery() as yes')).rows[0].yes === true,
  );
  expect((await refusal(standby.url)).message).toMatch(
    /is a replica \(in recovery\).*point the database URL at it/,
  );
});
