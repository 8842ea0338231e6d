/** What the tables refuse to hold: no bug above them can write a record that makes no sense. */

import type { Client } from 'pg';
import { migrate } from 'graphql-idempotency/migrate';
import { beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { connect, refusalOf, rolledBack } from './connection.ts';

type Row = Readonly<Record<string, unknown>>;

const hash = (byte: number): Buffer => Buffer.alloc(32, byte);
const shared = {
  identity: hash(1),
  scope_hash: hash(2),
  fingerprint: hash(3),
  fingerprint_version: 1,
  coordinate: 'M.f',
};
const completed: Row = {
  ...shared,
  mode: 'transaction',
  state: 'completed',
  outcome: 'result',
  codec_version: 1,
  body: Buffer.from('body'),
  completed_at: '2026-01-01',
  expires_at: '2026-01-02',
  takeover_after: '2026-01-02',
  sweep_after: '2026-01-02',
};
const pending: Row = {
  ...shared,
  mode: 'lease',
  state: 'pending',
  fence: 1,
  lease_until: '2026-01-01',
  ttl_ms: 1000,
  tombstone_ttl_ms: 0,
};
const unknown: Row = { ...pending, state: 'unknown', abandoned_at: '2026-01-01' };
const step: Row = {
  identity: hash(1),
  name: 'first',
  fence: 1,
  attempt: 1,
  outcome: 'result',
  codec_version: 1,
  body: Buffer.from('body'),
  completed_at: '2026-01-01',
};

const violations: Readonly<Record<string, readonly Row[]>> = {
  sha256_length: [
    { ...completed, identity: Buffer.alloc(31) },
    { ...completed, identity: Buffer.alloc(33) },
    { ...completed, scope_hash: Buffer.alloc(0) },
    { ...completed, fingerprint: Buffer.alloc(20) },
    { ...pending, fingerprint: Buffer.alloc(20) },
  ],
  record_is_completed_or_leased: [
    ...['outcome', 'codec_version', 'completed_at', 'expires_at', 'takeover_after'].map((name) => ({
      ...completed,
      [name]: null,
    })),
    { ...completed, takeover_after: '2026-01-01 23:59' },
    ...[pending, unknown].flatMap((row) => [
      { ...row, mode: 'transaction' },
      { ...row, fence: null },
      { ...row, outcome: 'result' },
      { ...row, body: Buffer.alloc(0) },
      { ...row, completed_at: '2026-01-01' },
      { ...row, expires_at: '2026-01-01' },
      { ...row, takeover_after: '2026-01-01' },
      { ...row, sweep_after: '2026-01-01' },
      { ...row, lease_until: null },
      { ...row, ttl_ms: null },
      { ...row, tombstone_ttl_ms: null },
    ]),
    { ...unknown, abandoned_at: null },
  ],
};

let url: string;
beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});

async function insert(client: Client, row: Row, table = 'record'): Promise<void> {
  const names = Object.keys(row);
  await client.query(
    `insert into graphql_idempotency.${table} (${names.join(', ')}) values (${names.map((_, at) => `$${at + 1}`).join(', ')})`,
    Object.values(row),
  );
}

test('sensible rows of every state are accepted, so that each refusal below has one reason', async () => {
  const client = await connect(url);
  const rows = [
    completed,
    pending,
    unknown,
    { ...completed, mode: 'lease', fence: 2 },
    { ...completed, body: null },
  ];
  for (const row of rows) await rolledBack(client, () => insert(client, row));
});

describe.each(Object.entries(violations))('%s', (constraint, rows) => {
  test.each(rows.map((row, at) => [at, row] as const))('refuses row %i', async (_, row) => {
    const client = await connect(url);
    const refusal = await rolledBack(client, () => refusalOf(insert(client, row)));
    expect(refusal).toMatchObject({ code: '23514', constraint });
  });
});

describe('a step', () => {
  test.each([
    ['without its body', { ...step, body: null }],
    ['with a body that could not be stored', { ...step, outcome: 'omitted' }],
  ])('%s is refused', async (_, row) => {
    const client = await connect(url);
    const refusal = await rolledBack(client, async () => {
      await insert(client, pending);
      return refusalOf(insert(client, row, 'step'));
    });
    expect(refusal).toMatchObject({ code: '23514', constraint: 'step_body_is_there_or_omitted' });
  });

  test('of no record is refused, one of each name is accepted, and all go with their record', async () => {
    const client = await connect(url);
    expect(await rolledBack(client, () => refusalOf(insert(client, step, 'step')))).toMatchObject({
      code: '23503',
      constraint: 'step_record_fkey',
    });
    await rolledBack(client, async () => {
      await insert(client, pending);
      await insert(client, step, 'step');
      await insert(client, { ...step, name: 'second', outcome: 'omitted', body: null }, 'step');
      await client.query('delete from graphql_idempotency.record');
      expect((await client.query('select from graphql_idempotency.step')).rowCount).toBe(0);
    });
  });
});

describe('an event', () => {
  const id = '00000000-0000-4000-8000-000000000000';
  const event = { event_id: id, namespace: '', topic: 't', headers: '{}', payload: Buffer.from('1') };
  const later = new Date();
  const dead = { ...event, dead_at: later, available_at: 'infinity' };

  test('of every state is accepted', async () => {
    const client = await connect(url);
    for (const row of [
      event,
      { ...event, claim: id, started: 1 },
      { ...event, started: 3, finished: 2 },
      { ...event, available_at: 'infinity' },
      dead,
    ]) {
      await rolledBack(client, () => insert(client, row, 'outbox'));
    }
  });

  test.each([
    ['that finished more often than it was started', { ...event, finished: 1 }],
    ['that finished less than never', { ...event, finished: -1 }],
    ['that is claimed for ever', { ...event, claim: id, started: 1, available_at: 'infinity' }],
    ['that is dead and can be claimed', { ...event, dead_at: later }],
    ['that is dead and claimed', { ...dead, claim: id, available_at: later }],
  ])('%s is refused', async (_, row) => {
    const client = await connect(url);
    const refusal = await rolledBack(client, () => refusalOf(insert(client, row, 'outbox')));
    expect(refusal).toMatchObject({ code: '23514', constraint: 'outbox_is_in_one_state' });
  });

  test('has an id of its own', async () => {
    const client = await connect(url);
    const refusal = await rolledBack(client, async () => {
      await insert(client, event, 'outbox');
      return refusalOf(insert(client, { ...event, namespace: 'other' }, 'outbox'));
    });
    expect(refusal).toMatchObject({ code: '23505', constraint: 'outbox_event_id_key' });
  });
});

describe('a message that failed', () => {
  const failure = {
    identity: Buffer.alloc(32, 7),
    namespace: '',
    consumer: 'ledger',
    message_id: 'm',
    codec_version: 1,
    started: 1,
    finished: 1,
    message: Buffer.from('[]'),
  };

  test.each([
    ['once is accepted', failure],
    ['and is being tried again is accepted', { ...failure, started: 2 }],
    ['for the last time is accepted', { ...failure, dead_at: new Date() }],
  ])('%s', async (_, row) => {
    const client = await connect(url);
    await rolledBack(client, () => insert(client, row, 'inbox_failure'));
  });

  test.each([
    ['more often than it was tried', { ...failure, finished: 2 }],
    ['less than never', { ...failure, started: -1, finished: -1 }],
  ])('%s is refused', async (_, row) => {
    const client = await connect(url);
    const refusal = await rolledBack(client, () => refusalOf(insert(client, row, 'inbox_failure')));
    expect(refusal).toMatchObject({ code: '23514', constraint: 'inbox_failure_counts_agree' });
  });
});

test('every CHECK of the schema has a row here that violates it', async () => {
  const client = await connect(url);
  const { rows } = await client.query<{ name: string }>(
    `select conname as name from pg_constraint where contype = 'c' and connamespace = 'graphql_idempotency'::regnamespace
      and conrelid <> 'graphql_idempotency.store'::regclass`,
  );
  expect(rows.map(({ name }) => name).toSorted()).toEqual(
    [
      ...Object.keys(violations),
      'step_body_is_there_or_omitted',
      'outbox_is_in_one_state',
      'inbox_failure_counts_agree',
    ].toSorted(),
  );
});

test('an identity has one row', async () => {
  const client = await connect(url);
  const refusal = await rolledBack(client, async () => {
    await insert(client, completed);
    return refusalOf(insert(client, { ...pending, scope_hash: hash(9) }));
  });
  expect(refusal).toMatchObject({ code: '23505', constraint: 'record_pkey' });
});

test.each([
  'mode',
  'state',
  'fingerprint_version',
  'identity',
  'scope_hash',
  'fingerprint',
  'coordinate',
  'attempt',
])('no record is without %s', async (name) => {
  const client = await connect(url);
  const refusal = await rolledBack(client, () => refusalOf(insert(client, { ...completed, [name]: null })));
  expect(refusal).toMatchObject({ code: '23502', column: name });
});

test('a schema is one store, with a secret of 32 bytes that no other schema has', async () => {
  const other = await createDatabase();
  const client = await connect(url);
  for (const singleton of [true, false]) {
    const statement = `insert into graphql_idempotency.store (singleton) values (${singleton})`;
    const refusal = await refusalOf(client.query(statement));
    expect(refusal.code).toBe(singleton ? '23505' : '23514');
  }
  await migrate({ connectionString: other.url });
  const read = 'select store_id, envelope_secret from graphql_idempotency.store';
  const [{ rows: own }, { rows: foreign }] = [
    await client.query(read),
    await (await connect(other.url)).query(read),
  ];
  expect(own[0].envelope_secret).toHaveLength(32);
  expect(own[0].envelope_secret).not.toEqual(foreign[0].envelope_secret);
  expect(own[0].store_id).not.toBe(foreign[0].store_id);
});
