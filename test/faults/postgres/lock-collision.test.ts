/** The lock is 64 bits of the identity: who collides is told to wait, and nothing else. */

import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { checkKey } from '../../../src/key/key-form.ts';
import { identityOf } from '../../../src/key/identity.ts';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PayCall, type Service, startService } from '../../support/service.ts';
import { deferred } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';

let database: TestDatabase;
let direct: pg.Client;
let service: Service;
let resolver: (call: PayCall) => unknown = ({ insert }) => insert();

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  service = await startService({
    databaseUrl: database.url,
    options: { ...shortTimeouts, migrate: false },
    pay: (call) => resolver(call),
  });
});

afterAll(async () => {
  await service.stop();
  await direct.end();
  await database.drop();
});

it('a lock that somebody else holds costs a 409 while it is held, and another key nothing', async () => {
  await direct.query('begin');
  await lock('foreign');
  const runs = service.runs();
  const reply = await pay(service, 'foreign');
  expect([reply.status, reply.code]).toEqual([409, 'IDEMPOTENCY_IN_PROGRESS']);
  expect(service.runs()).toBe(runs);
  await expectOnePayment(service, 'unrelated', 'executed');
  await direct.query('rollback');
  await expectOnePayment(service, 'foreign', 'executed');
});

it('a record that is there is replayed whether the lock is free or not, and a mismatch refused', async () => {
  await expectOnePayment(service, 'completed', 'executed');
  await direct.query('begin');
  await lock('completed');
  expect(outcomeOf(await pay(service, 'completed'))).toBe('replayed');
  const other = await service.send({ key: 'completed', variables: { note: 'something else' } });
  expect([other.status, other.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  await direct.query('rollback');
});

it('keys that all collide wait for each other, and each gets its own payment and its own answer', async () => {
  await constantLock();
  const gate = deferred();
  const inside = deferred();
  resolver = async ({ args, insert }) => {
    if (args.note === 'first') {
      inside.resolve();
      await gate.promise;
    }
    return insert();
  };
  const first = pay(service, 'first');
  await inside.promise;
  expect(outcomeOf(await pay(service, 'second'))).toBe('IDEMPOTENCY_IN_PROGRESS');
  expect(await paidFor(service, 'second')).toBe(0);
  gate.resolve();
  expect(outcomeOf(await first)).toBe('executed');
  await expectOnePayment(service, 'second', 'executed');
  await expectOnePayment(service, 'first', 'replayed');
});

async function lock(key: string): Promise<void> {
  const identity = identityOf({
    namespace: '',
    scope: 'alice',
    key: checkKey(key, { coordinate: 'Mutation.pay', source: 'header' }),
  });
  await direct.query('select pg_advisory_xact_lock($1::bigint)', [identity.readBigInt64BE(0).toString()]);
}

async function constantLock(): Promise<void> {
  const { rows } = await direct.query<{ definition: string }>(
    `select pg_get_functiondef(oid) as definition from pg_proc
     where proname = 'claim' and pronamespace = 'graphql_idempotency'::regnamespace`,
  );
  const original = rows[0]!.definition;
  const changed = original.replace(/pg_try_advisory_xact_lock\([^;]*;/, 'pg_try_advisory_xact_lock(7);');
  expect(changed).not.toBe(original);
  await direct.query(changed);
}
