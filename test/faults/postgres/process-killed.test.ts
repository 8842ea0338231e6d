/** Kill -9 of the process at any instruction: nothing happened or all of it did, and a retry gets through. */

import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startChild } from '../../support/child.ts';
import { createDatabase, redisPrefix, redisUrl, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { MessageMatch } from '../../support/proxy-rules.ts';
import { PAY, type Service, startService } from '../../support/service.ts';
import { eventually } from '../../support/signal.ts';
import type { Paying } from './paying-process.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';

let database: TestDatabase;
let proxy: PostgresProxy;
let direct: pg.Client;
/** The process that is left: clients retry there. */
let service: Service;
const prefix = redisPrefix();

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  proxy = await startPostgresProxy({ target: database.url });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  service = await startService({
    databaseUrl: database.url,
    redis: redisUrl(),
    options: { ...shortTimeouts, redisPrefix: prefix, migrate: false },
  });
});

afterAll(async () => {
  await service.stop();
  await direct.end();
  await proxy.close();
  await database.drop();
});

afterEach(() => proxy.healAll());

describe(
  'a process that is killed before its COMMIT is sent leaves nothing, and the retry executes',
  { timeout: 60_000 },
  () => {
    it.each(['before-claim', 'before-resolver', 'in-resolver', 'before-record'])(
      'killed %s',
      async (point) => {
        const { child, paying } = await startPaying(point, { KILL_AT: point });
        expect(await paying).toBe('no answer');
        expect((await child.exited).signal).toBe('SIGKILL');
        expect(await paidFor(service, point)).toBe(0);
        await expectOnePayment(service, point, 'executed');
      },
    );

    it('killed with the answer to its claim on the way', async () => {
      await killedOn('claim-answered', {
        from: 'server',
        type: 'ReadyForQuery',
        where: ({ status }) => status === 'T',
      });
      await expectOnePayment(service, 'claim-answered', 'executed');
    });

    it('killed while a query runs: Postgres notices in a second, though the query takes a minute', async () => {
      const { child, paying } = await startPaying('query-runs', { CHILD_SLEEPS: 'true' });
      await eventually(async () => {
        const { rowCount } = await direct.query(
          `select from pg_stat_activity where state = 'active' and query like 'select pg_sleep%'`,
        );
        return rowCount === 1;
      });
      await child.kill();
      expect(await paying).toBe('no answer');
      // On a busy machine Postgres may have noticed before the first retry is there.
      const first = outcomeOf(await pay(service, 'query-runs'));
      expect(['IDEMPOTENCY_IN_PROGRESS', 'executed']).toContain(first);
      const then = first === 'executed' ? 'replayed' : 'executed';
      await expectOnePayment(service, 'query-runs', then, { timeoutMs: 15_000 });
    });
  },
);

describe(
  'a process that is killed after its COMMIT was sent has paid, and the retry replays',
  { timeout: 60_000 },
  () => {
    it('killed before the answer to COMMIT', async () => {
      await killedOn('commit-answered', { from: 'server', tag: 'COMMIT' });
      expect(await paidFor(service, 'commit-answered')).toBe(1);
      await expectOnePayment(service, 'commit-answered', 'replayed');
    });

    it('killed while record and COMMIT are still on their way, and arrive after its death', async () => {
      const { child, paying, held } = await startPaying(
        'late-commit',
        {},
        { from: 'client', sql: /\bcommit$/ },
      );
      await held!.matched;
      await child.kill();
      expect(await paying).toBe('no answer');
      expect(outcomeOf(await pay(service, 'late-commit'))).toBe('IDEMPOTENCY_IN_PROGRESS');
      expect(await paidFor(service, 'late-commit')).toBe(0);
      held!.release();
      await expectOnePayment(service, 'late-commit', 'replayed');
    });

    it.each(['before-redis-write', 'before-http-reply'])('killed %s', async (point) => {
      const { child, paying } = await startPaying(point, {
        KILL_AT: point,
        CHILD_REDIS_URL: redisUrl(),
        CHILD_REDIS_PREFIX: prefix,
      });
      expect(await paying).toBe('no answer');
      expect((await child.exited).signal).toBe('SIGKILL');
      expect(await paidFor(service, point)).toBe(1);
      await expectOnePayment(service, point, 'replayed');
    });
  },
);

async function killedOn(key: string, match: MessageMatch): Promise<void> {
  const { child, paying, held } = await startPaying(key, {}, match);
  await held!.matched;
  await child.kill();
  expect(await paying).toBe('no answer');
}

/** Starts the process behind the proxy and has it pay; `paying` is what its client gets. */
async function startPaying(key: string, env: Record<string, string>, match?: MessageMatch) {
  const child = startChild({
    file: new URL('./paying-process.ts', import.meta.url),
    env: { CHILD_DATABASE_URL: proxy.url, ...env },
  });
  const { url } = await child.message<Paying>((message) => 'url' in message, { timeoutMs: 30_000 });
  const held = match === undefined ? undefined : proxy.on(match, 'hold');
  const query = 'CHILD_REDIS_URL' in env ? PAY.replace('note }', 'note settled }') : PAY;
  const paying = fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer alice', 'idempotency-key': key },
    body: JSON.stringify({ query, variables: { note: key } }),
  }).then(
    (response) => response.text(),
    () => 'no answer',
  );
  return { child, paying, held };
}
