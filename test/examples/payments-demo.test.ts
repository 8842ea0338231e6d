/** `npm run demo` on databases that exist, and on ones that charge or pay twice. By itself it runs on an embedded one. */

import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { startChild } from '../support/child.ts';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import { within } from '../support/signal.ts';
import { cleanEnvironment } from './payments.ts';

const timeoutMs = 180_000;

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
      expect(first.output).not.toContain('\u001B');
      expect(first.code).toBe(0);

      const second = await demo({ DATABASE_URL: database.url, PATH: '/nowhere' });
      expect(second.output).toContain('on the Postgres of DATABASE_URL, without Redis');
      expect(summary(second.output)).toEqual({ sent: 24, charges: [6, 6], payouts: [3, 3, 3] });
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
});

async function demo(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const child = startChild({ file: 'examples/payments/demo.ts', env: { ...cleanEnvironment, ...env } });
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
