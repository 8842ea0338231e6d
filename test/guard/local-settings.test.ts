/** The record is written as the claim was made, whatever the resolver set for itself. */

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { expectRefusal } from '../apollo/refusal.ts';

const role = `limited_${randomBytes(6).toString('hex')}`;
let service: Service;
let own: pg.Pool;
let act: (call: PayCall) => unknown;
let keys = 0;
let key: string;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  own = new pg.Pool({ connectionString: url, max: 1 });
  service = await startService({ databaseUrl: url, options: { poolSize: 1 }, pay: (call) => act(call) });
  // What the record statement sees of its session, from within.
  await own.query(`
    create role ${role};
    grant insert, select on payments to ${role};
    grant usage on sequence payments_id_seq to ${role};
    create table seen (
      id serial, role text, synchronous_commit text, statement_timeout interval, lock_timeout interval
    );
    create function see() returns trigger language plpgsql as $$
    begin
      insert into public.seen (role, synchronous_commit, statement_timeout, lock_timeout)
      select current_user, current_setting('synchronous_commit'),
        current_setting('statement_timeout')::interval, current_setting('lock_timeout')::interval;
      return null;
    end $$;
    create trigger see after insert or update on graphql_idempotency.record execute function see();
  `);
});
beforeEach(() => {
  key = `settings-${(keys += 1)}`;
});
afterAll(async () => {
  await service.stop();
  await own.query(`drop owned by ${role}; drop role ${role}`);
  await own.end();
});

const lastSeen = async () =>
  (await own.query('select * from seen order by id desc limit 1')).rows[0] as Record<string, string>;

test.each([
  ['a role without rights on the record', [`set local role ${role}`]],
  ['no waiting for the disk', ['set local synchronous_commit = off']],
  ['a statement timeout', ['set local statement_timeout = 60']],
  ['a lock timeout', ['set local lock_timeout = 1']],
  ['another search path', ['set local search_path = pg_temp']],
  ['a search path that shadows the catalog', ['set local search_path = public, pg_catalog']],
  ['a deferral of constraints', ['set constraints all deferred']],
  ['a limit on time spent idle', ['set local idle_in_transaction_session_timeout = 1000']],
  [
    'another date style and encoding of bytes',
    [`set local datestyle = 'German'`, `set local bytea_output = 'escape'`],
  ],
  ['text that reads backslashes', ['set local standard_conforming_strings = off']],
  [
    'all of it',
    [`set local role ${role}`, 'set local synchronous_commit = off', 'set local statement_timeout = 60'],
  ],
])('a resolver that sets %s', async (_what, settings) => {
  act = async ({ insert, tx }) => {
    await insert();
    act = ({ insert }) => insert();
    for (const setting of settings) await tx.query(setting);
    return { id: 'set', amount: 1, note: `it's \\ and "quoted" ${settings.join()}` };
  };
  await own.query('truncate seen');
  const before = await service.payments();
  const first = await service.send({ key });
  expect(first.body.errors).toBeUndefined();
  const seen = await lastSeen();
  await service.send({ key: `${key}-plain` });
  const usual = await lastSeen();
  expect({ ...seen, id: 0 }).toEqual({ ...usual, id: 0 });
  expect(usual['synchronous_commit']).toBe('on');
  expect(usual['role']).not.toBe(role);
  const again = await service.send({ key });
  expect(again.body.data).toEqual(first.body.data);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  expect((await service.payments()).length).toBe(before.length + 2);
});

test('a role set by a resolver that throws a final error does not keep the error from being stored', async () => {
  const { FinalError } = await import('graphql-idempotency');
  act = async ({ tx }) => {
    await tx.query(`set local role ${role}`);
    throw new FinalError('declined');
  };
  await service.send({ key });
  expect((await lastSeen())['role']).not.toBe(role);
  expect((await service.send({ key })).headers.get('idempotent-replayed')).toBe('true');
});

test('a resolver that makes its transaction read-only gets no success, and no advice to retry', async () => {
  act = async ({ tx }) => {
    await tx.query('set transaction read only');
    return { id: 'x', amount: 1 };
  };
  expectRefusal(await service.send({ key }), 'TRANSACTION_BROKEN', 500);
  act = ({ insert }) => insert();
  expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('executed');
});
