/** The schema that the migrations make is the one that was reviewed; UPDATE_GOLDEN=1 accepts a change. */

import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { connect } from './connection.ts';
import { dumpSchema } from './schema-dump.ts';

const golden = new URL('../../golden/schema.sql', import.meta.url);

test('the migrations make exactly the schema in test/golden/schema.sql', async () => {
  const { url } = await createDatabase({ migrated: true });
  const dump = await dumpSchema(await connect(url), 'graphql_idempotency');
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, dump);
  expect(dump).toBe(readFileSync(golden, 'utf8'));
});

test('the dump notices a change of each kind', async () => {
  const { url } = await createDatabase({ migrated: true });
  const client = await connect(url);
  const before = await dumpSchema(client, 'graphql_idempotency');
  for (const change of [
    'alter table graphql_idempotency.record add column extra text',
    'alter table graphql_idempotency.record alter column coordinate drop not null',
    'alter table graphql_idempotency.record drop constraint record_is_completed_or_leased',
    'alter domain graphql_idempotency.sha256 drop constraint sha256_length',
    'alter table graphql_idempotency.step set unlogged',
    'alter table graphql_idempotency.store alter column created_at drop default',
    'drop index graphql_idempotency.record_sweep_after_idx',
    `alter type graphql_idempotency.record_state add value 'lost'`,
    `comment on column graphql_idempotency.record.body is 'else'`,
    'alter function graphql_idempotency.claim reset all',
    'create function graphql_idempotency.extra() returns int language sql as $$ select 1 $$',
  ]) {
    await client.query('begin');
    await client.query(change);
    expect(await dumpSchema(client, 'graphql_idempotency'), change).not.toBe(before);
    await client.query('rollback');
  }
  expect(await dumpSchema(client, 'graphql_idempotency')).toBe(before);
});
