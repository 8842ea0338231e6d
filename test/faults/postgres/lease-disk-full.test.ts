/** A server that can store no more: nothing new runs, and what runs completes when there is room again. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import {
  done,
  expectOneOutcome,
  type LeaseService,
  openRecords,
  outcomeOf,
  type Records,
  shortTimeouts,
  startLeaseService,
} from '../lease-case.ts';

let database: TestDatabase;
let service: LeaseService;
let records: Records;

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  records = await openRecords(database.url);
  service = await startLeaseService({ databaseUrl: database.url, options: shortTimeouts });
  // The error that Postgres raises when the disk is full, at the place where it would.
  await records.client.query(`
    create sequence refusals;
    create function raise_full_disk() returns trigger language plpgsql as $$
    begin
      if to_regclass('public.full_disk') is not null then
        perform nextval('public.refusals');
        raise exception 'could not extend file' using errcode = '53100';
      end if;
      return new;
    end $$;
    create trigger full_disk before insert or update on graphql_idempotency.record
      for each row execute function raise_full_disk()`);
});

afterAll(async () => {
  await service.stop();
  await records.close();
  await database.drop();
});

it('keeps new calls from running, and a completion waiting; what is there replays', async () => {
  await service.transfer('before');
  await fill();
  const refused = await service.transfer('full');
  expect([refused.status, refused.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
  expect(service.attempts('full')).toEqual([]);
  await expectOneOutcome(service, records, 'before');
  await makeRoom();
  service.resolveWith(async (call) => {
    await fill();
    return done(call);
  });
  const before = await refusals();
  const reply = service.transfer('full');
  await eventually(async () => (await refusals()) >= before + 2);
  await makeRoom();
  expect(outcomeOf(await reply)).toBe('executed');
  await expectOneOutcome(service, records, 'full');
  expect(service.attempts('full')).toEqual([1]);
});

async function fill(): Promise<void> {
  await records.client.query('create table full_disk ()');
}

async function makeRoom(): Promise<void> {
  await records.client.query('drop table full_disk');
}

async function refusals(): Promise<number> {
  const { rows } = await records.client.query<{ n: string }>('select last_value as n from refusals');
  return Number(rows[0]!.n);
}
