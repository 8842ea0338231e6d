/**
 * `npm run demo` on databases that exist, on ones that charge or pay twice, and with programs that lose events or book
 * them twice. By itself it runs on an embedded one.
 */

import { delimiter, dirname } from 'node:path';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { ensureRedis } from '../../scripts/install-program.mjs';
import { startChild } from '../support/child.ts';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import { within } from '../support/signal.ts';
import { brokenDemo } from './broken-demo.ts';
import { cleanEnvironment } from './payments.ts';

/** It starts dozens of processes, one after the other. */
const timeoutMs = 600_000;

const step =
  /^ *\d+ (?<mark>[✓✗]) .+?  +(?<key>\S+) +(?<status>\S+) +(?<outcome>\S+|no answer)  +\S+ +\d+ ms$/gmu;
const repetition = /^ +· to be sent again.* +\S+ +409 +IDEMPOTENCY_IN_PROGRESS /gmu;

describe('the demo', () => {
  it(
    'charges once whatever happens on a Postgres and a Redis that exist, and again where it has run before, without Redis',
    async () => {
      const database = await createDatabase();
      const first = await demo({
        DATABASE_URL: database.url,
        REDIS_URL: redisUrl(),
        IDEMPOTENCY_REDIS_PREFIX: redisPrefix(),
      });
      expect(first.output).toContain('on the Postgres of DATABASE_URL, with Redis in front');
      expect(first.output).toContain('Redis is not killed: the one of REDIS_URL');
      expect(steps(first.output).map(Object.values)).toEqual([
        ['✓', 'abc123', '200', 'executed'],
        ['✓', 'abc123', '200', 'replayed'],
        ['✓', 'xyz789', '200', 'executed'],
        ['✓', 'xyz789', '200', 'replayed'],
        ['✓', 'abc123', '200', 'replayed'],
        ['✓', 'lost', '-', 'no answer'],
        ['✓', 'lost', '200', 'replayed'],
        ['✓', 'twice', '409', 'IDEMPOTENCY_IN_PROGRESS'],
        ['✓', 'twice', '200', 'executed'],
        ['✓', 'twice', '200', 'replayed'],
        ['✓', 'abc123', '422', 'IDEMPOTENCY_KEY_REUSED'],
        ['✓', 'abc123', '200', 'executed'],
        ['✓', 'killed', '-', 'no answer'],
        ['✓', 'killed', '200', 'executed'],
        ['✓', 'killed', '200', 'replayed'],
        ['✓', 'steps', '-', 'no answer'],
        ['✓', 'steps', '200', 'executed'],
        ['✓', 'steps', '200', 'replayed'],
        ['✓', 'failed', '503', 'IDEMPOTENCY_OUTCOME_UNKNOWN'],
        ['✓', 'failed', '200', 'executed'],
        ['✓', 'failed', '200', 'replayed'],
        ['✓', 'hanging', '409', 'IDEMPOTENCY_IN_PROGRESS'],
        ['✓', 'hanging', '200', 'executed'],
        ['✓', 'hanging', '200', 'replayed'],
      ]);
      expect(summary(first.output)).toEqual({ sent: 24, charges: [6, 6], payouts: [3, 3, 3] });
      expect(kills(first.output)).toEqual({ server: 3, bookkeeper: 3 });
      expect(first.output).toMatch(/40 charges in \d+ requests: 32 executed, 8 refused/);
      expect(events(first.output)).toEqual({ payments: 32, events: 32, ledger: 32 });
      // Those at least that the demo itself has published once more.
      expect(entries(first.output)).toBeGreaterThanOrEqual(32 + 5);
      expect(first.output).not.toContain('\u001B');
      expect(first.code).toBe(0);

      const second = await demo({ DATABASE_URL: database.url, PATH: '/nowhere' });
      expect(second.output).toContain('on the Postgres of DATABASE_URL, without Redis');
      expect(summary(second.output)).toEqual({ sent: 24, charges: [6, 6], payouts: [3, 3, 3] });
      expect(second.output).toContain('Events are not published: no redis-server on the PATH');
      expect(kills(second.output)).toEqual({ server: 0, bookkeeper: 0 });
      expect(second.code).toBe(0);
    },
    timeoutMs,
  );

  it(
    'fails when the tables hold other charges and payouts than were sent',
    async () => {
      const database = await createDatabase();
      await doTwice(database.url);
      const { code, output } = await demo({ DATABASE_URL: database.url, REDIS_URL: redisUrl() });
      expect(summary(output)).toEqual({ sent: 24, charges: [6, 12], payouts: [3, 3, 6] });
      expect(events(output)).toEqual({ payments: 64, events: 32, ledger: 32 });
      expect(code).toBe(1);
    },
    timeoutMs,
  );

  it(
    'fails when an answer is not the expected one',
    async () => {
      const database = await createDatabase();
      const { code, output } = await demo({
        DATABASE_URL: database.url,
        REDIS_URL: redisUrl(),
        IDEMPOTENCY_KEY_FORMAT: 'uuid',
      });
      expect(steps(output)[0]).toMatchObject({ mark: '✗', outcome: 'IDEMPOTENCY_KEY_INVALID' });
      expect(output).toContain('expected executed');
      expect(code).toBe(1);
    },
    timeoutMs,
  );

  it(
    'fails when the bookkeeper books without the inbox: what comes twice is booked twice',
    async () => {
      const database = await createDatabase();
      const file = await brokenDemo({
        'bookkeeper.ts': (source) => [
          source.replace(/idempotency\.inbox\.process\(\{.*?\}, /, 'bookAtOnce('),
          'async function bookAtOnce(book: (tx: Pool) => Promise<void>) { await book(database); }',
        ],
      });
      const { code, output } = await demo({ DATABASE_URL: database.url }, file);
      const { payments, events: published, ledger } = events(output);
      expect([payments, published]).toEqual([32, 32]);
      expect(ledger).toBeGreaterThanOrEqual(32 + 5);
      expect(output).toMatch(/^Events: rows of the ledger: \d+ twice\.$/m);
      expect(output).not.toContain('booked exactly once');
      expect(code).toBe(1);
    },
    timeoutMs,
  );

  it(
    'fails when the server publishes by itself, after the commit: what is killed in between loses events',
    async () => {
      const database = await createDatabase();
      const file = await brokenDemo({
        'resolvers.ts': (source) => [
          "import { Redis } from 'ioredis';",
          source.replace(/outbox\.add\(.*?\);/, '').replace('return payment;', 'publish(id, captured); $&'),
          // As slow as it may be where the machine is busy.
          `const ownBroker = process.env.BROKER_URL ? new Redis(process.env.BROKER_URL) : undefined;
           function publish(id: string, payment: CapturedPayment): void {
             setTimeout(() => {
               void ownBroker?.xadd('payment.captured', '*', 'event-id', id, 'event-payload', JSON.stringify(payment));
             }, 3000);
           }`,
        ],
      });
      const { code, output } = await demo({ DATABASE_URL: database.url }, file);
      const { payments, events: published, ledger } = events(output);
      expect(payments).toBe(32);
      expect(published).toBeLessThan(32);
      expect(ledger).toBe(published);
      expect(output).toMatch(/^Events: events: \d+ missing\.$/m);
      expect(output).toMatch(/^Events: rows of the ledger: \d+ missing\.$/m);
      expect(code).toBe(1);
    },
    timeoutMs,
  );
});

async function demo(
  env: Record<string, string>,
  file = 'examples/payments/demo.ts',
): Promise<{ code: number | null; output: string }> {
  // It looks for redis-server there, and goes without where there is none.
  const path = [dirname(await ensureRedis()), process.env['PATH']].join(delimiter);
  const child = startChild({ file, env: { ...cleanEnvironment, PATH: path, ...env } });
  try {
    const { code } = await within(child.exited, { timeoutMs: timeoutMs - 5000, what: 'the demo' });
    return { code, output: child.output() };
  } catch (error) {
    // So that it ends its servers, too.
    await child.kill('SIGTERM');
    throw error;
  }
}

function steps(output: string): Record<string, string>[] {
  return [...output.matchAll(step)].map(({ groups }) => ({ ...groups }));
}

/** What the report counts, without what was sent again because of a lease that still had to end. */
function summary(output: string): Record<string, number | number[]> {
  const number = (what: string): number => Number(new RegExp(`^${what} +(\\d+)`, 'm').exec(output)?.[1]);
  return {
    sent: number('requests sent') - [...output.matchAll(repetition)].length,
    charges: [number('charges expected'), number('charges found')],
    payouts: [number('payouts expected'), number('payouts paid'), number('payouts booked')],
  };
}

/** How often somebody was killed in the scene of the events. */
function kills(output: string): Record<string, number> {
  const count = (what: string): number =>
    [...output.matchAll(new RegExp(`^ +· kill -9 of the ${what}.*, \\d+ ms after`, 'gm'))].length;
  return { server: count('server'), bookkeeper: count('bookkeeper') };
}

/** What the report counts of that scene. */
function events(output: string): Record<'payments' | 'events' | 'ledger', number> {
  const number = (what: string): number => Number(new RegExp(`^${what} +(\\d+)`, 'm').exec(output)?.[1]);
  return { payments: number('payments'), events: number('events'), ledger: number('ledger') };
}

function entries(output: string): number {
  return Number(/in (\d+) entries of the stream/.exec(output)?.[1]);
}

/** What the library prevents, done by the database itself: every payment and every payout is there twice. */
async function doTwice(connectionString: string): Promise<void> {
  const client = new Client({ connectionString });
  await client.connect();
  await client.query(`
    create table payments (
      id uuid primary key default gen_random_uuid(), user_id text not null, amount_cents integer not null,
      currency text not null, reference text, created_at timestamptz not null default clock_timestamp()
    );
    create table payouts (
      id uuid primary key default gen_random_uuid(), user_id text not null, amount_cents integer not null,
      account text not null, provider_id text not null, created_at timestamptz not null default clock_timestamp()
    );
    create function charge_again() returns trigger language plpgsql as $$
    begin
      insert into payments (user_id, amount_cents, currency, reference)
        values (new.user_id, new.amount_cents, new.currency, new.reference);
      return null;
    end $$;
    create function book_again() returns trigger language plpgsql as $$
    begin
      insert into payouts (user_id, amount_cents, account, provider_id)
        values (new.user_id, new.amount_cents, new.account, new.provider_id);
      return null;
    end $$;
    create trigger charge_again after insert on payments for each row
      when (pg_trigger_depth() = 0) execute function charge_again();
    create trigger book_again after insert on payouts for each row
      when (pg_trigger_depth() = 0) execute function book_again();
  `);
  await client.end();
}
