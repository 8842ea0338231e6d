/** The example's payouts with two servers on one Postgres, and a provider that pays whatever it answers. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PaidPayout } from '../../examples/payments/provider.ts';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';
import { forgetProcess, watchProcess } from '../support/janitor.ts';
import { eventually, within } from '../support/signal.ts';
import { cleanEnvironment, outcomeOf, payout, payoutUntilAnswered, send, startPayments } from './payments.ts';
import type { Payments, Response } from './payments.ts';
import { newLog, startProvider } from './provider.ts';
import type { Provider } from './provider.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** For those that start a server of their own. */
const timeoutMs = 60_000;
let env: Record<string, string>;
let client: Client;
let provider: Provider;
let one: Payments;
let other: Payments;

beforeAll(async () => {
  const database = await createDatabase();
  provider = await startProvider({ until: 'file' });
  env = {
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl(),
    IDEMPOTENCY_REDIS_PREFIX: redisPrefix(),
    IDEMPOTENCY_LEASE: 'PT3S',
    PROVIDER_URL: provider.url,
  };
  [one, other] = await Promise.all([
    startPayments({ env, until: 'file' }),
    startPayments({ env, until: 'file' }),
  ]);
  client = new Client({ connectionString: database.url });
  await client.connect();
});

afterAll(() => client?.end());

describe('payouts on Postgres', () => {
  it('are paid and booked once and answered again, by any of the servers that share the database', async () => {
    const request = { user: 'anna', key: 'once', amountCents: 1250, account: 'DE12500105170648489890' };
    const first = await payout(one.url, request);
    expect(outcomeOf(first)).toBe('executed');
    expect(first).toMatchObject({
      status: 200,
      body: { data: { payout: { amountCents: 1250, account: 'DE12500105170648489890' } } },
    });

    const again = await payout(other.url, request);
    expect(outcomeOf(again)).toBe('replayed');
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.body.data).toEqual(first.body.data);
    expect(await effectsOf('anna', 1250)).toEqual([bookedAs(first)]);
  });

  it('are paid and booked once when copies reach both servers at once', async () => {
    const request = { user: 'dora', key: 'burst', amountCents: 2000 };
    const { asked } = await provider.log();
    const copies = await Promise.all(
      Array.from({ length: 20 }, (_, index) => payout(index % 2 === 0 ? one.url : other.url, request)),
    );
    const outcomes = copies.map(outcomeOf);
    expect(outcomes.filter((outcome) => outcome === 'executed')).toHaveLength(1);
    expect(
      outcomes.filter((outcome) => !/^(executed|replayed|IDEMPOTENCY_IN_PROGRESS)$/.test(String(outcome))),
    ).toEqual([]);
    expect((await provider.log()).asked).toBe(asked + 1);
    expect(await effectsOf('dora', 2000)).toHaveLength(1);
  });

  it(
    'of a server that is killed between the two steps are booked by a retry, and not paid again',
    async () => {
      const request = { user: 'kim', key: 'killed', amountCents: 2100 };
      const { url, child } = await startPayments({ file: 'demo/pausing-payouts.ts', env });
      const { asked } = await provider.log();
      const unanswered = expect(payout(url, request)).rejects.toThrow('fetch failed');
      await child.message((message) => message === 'paused');
      expect(await bookedOf('kim')).toEqual([]);
      await child.kill();
      await unanswered;

      const retried = await payoutUntilAnswered(one.url, request);
      expect(outcomeOf(retried)).toBe('executed');
      expect(outcomeOf(await payout(other.url, request))).toBe('replayed');
      expect((await provider.log()).asked).toBe(asked + 1);
      expect(await effectsOf('kim', 2100)).toEqual([bookedAs(retried)]);
    },
    timeoutMs,
  );

  it.each([
    ['fail', 2210],
    ['drop', 2220],
  ] as const)(
    'that the provider pays and then has to %s are unknown, and settled by a retry',
    async (mode, amountCents) => {
      const request = { user: mode, key: mode, amountCents };
      const { asked } = await provider.log();
      await provider.behave({ mode });
      const unknown = await payout(one.url, request);
      expect(unknown.status).toBe(503);
      expect(outcomeOf(unknown)).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
      expect(JSON.stringify(unknown.body)).not.toMatch(/provider|fetch/i);

      const retried = await payout(other.url, request);
      expect(outcomeOf(retried)).toBe('executed');
      expect((await provider.log()).asked).toBe(asked + 2);
      expect(await effectsOf(mode, amountCents)).toEqual([bookedAs(retried)]);
    },
  );

  it("stay their server's while the provider hangs for longer than the lease", async () => {
    const request = { user: 'hanna', key: 'hanging', amountCents: 2300 };
    const { asked } = await provider.log();
    await provider.behave({ mode: 'hang' });
    const answer = payout(one.url, request);
    const lease = await eventually(async () => {
      const { rows } = await client.query<{ lease_until: string }>(
        `select lease_until::text from graphql_idempotency.record where state = 'pending'`,
      );
      return rows[0]?.lease_until;
    });
    await eventually(async () => {
      const { rows } = await client.query<{ over: boolean }>(
        'select clock_timestamp() > $1::timestamptz as over',
        [lease],
      );
      return rows[0]!.over;
    });
    const copy = await payout(other.url, request);
    expect(copy.status).toBe(409);
    expect(outcomeOf(copy)).toBe('IDEMPOTENCY_IN_PROGRESS');

    await provider.behave({ mode: 'normal' });
    expect(outcomeOf(await within(answer))).toBe('executed');
    expect(outcomeOf(await payout(other.url, request))).toBe('replayed');
    expect((await provider.log()).asked).toBe(asked + 1);
    expect(await effectsOf('hanna', 2300)).toHaveLength(1);
  });

  it('wait for a provider that is slow', async () => {
    await provider.behave({ mode: 'slow', delayMs: 200 });
    expect(outcomeOf(await payout(one.url, { user: 'sam', key: 'slow', amountCents: 2350 }))).toBe(
      'executed',
    );
    expect(await effectsOf('sam', 2350)).toHaveLength(1);
  });

  it('to an account that the provider refuses are refused again, without asking it', async () => {
    const request = { user: 'rita', key: 'refused', amountCents: 2400, account: 'nobody' };
    const refused = await payout(one.url, request);
    expect(refused.body.errors).toMatchObject([{ extensions: { code: 'ACCOUNT_REFUSED' } }]);
    const { asked } = await provider.log();
    const again = await payout(other.url, request);
    expect(outcomeOf(again)).toBe('replayed');
    expect(again.body.errors).toEqual(refused.body.errors);
    expect((await provider.log()).asked).toBe(asked);
    expect(await effectsOf('rita', 2400)).toEqual([]);
  });

  it(
    'are not made where nobody listens, and the key stays free',
    async () => {
      const request = { user: 'nora', key: 'nobody', amountCents: 2500 };
      const lonely = await startPayments({
        env: { ...env, PROVIDER_URL: `http://127.0.0.1:${await freePort()}/` },
      });
      expect(outcomeOf(await payout(lonely.url, request))).toBe('PROVIDER_UNAVAILABLE');
      expect(outcomeOf(await payout(one.url, request))).toBe('executed');
      expect(await effectsOf('nora', 2500)).toHaveLength(1);
    },
    timeoutMs,
  );

  it.each([0, -5])('of %i cents are refused, and the key stays free', async (amountCents) => {
    const key = `free${amountCents}`;
    const refused = await payout(one.url, { user: 'erin', key, amountCents });
    expect(outcomeOf(refused)).toBe('BAD_USER_INPUT');
    expect(outcomeOf(await payout(one.url, { user: 'erin', key, amountCents: 5 }))).toBe('executed');
  });

  it(
    'leave no provider behind when the server that started it is killed',
    async () => {
      const log = await newLog();
      const server = spawn(process.execPath, ['scripts/run.mjs', 'examples/payments/server.ts'], {
        cwd: root,
        env: { ...process.env, ...cleanEnvironment, ...env, PORT: '0', PROVIDER_URL: '', PROVIDER_LOG: log },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      watchProcess(server.pid!);
      const closed = once(server, 'close');
      const ready = once(server.stdout.setEncoding('utf8'), 'data');
      server.stderr.resume();
      const url = /^ready (\S+)\n$/.exec(String(await within(ready, { timeoutMs: 40_000 })))![1]!;
      expect(outcomeOf(await payout(url, { user: 'lena', key: 'left', amountCents: 2550 }))).toBe('executed');
      expect(await readFile(log, 'utf8')).toContain('"amountCents":2550');
      // The provider writes to the same stderr, which closes only when both have ended.
      server.kill('SIGKILL');
      expect(await within(closed)).toEqual([null, 'SIGKILL']);
      forgetProcess(server.pid!);
    },
    timeoutMs,
  );

  it("are the user's own to read", async () => {
    await payout(one.url, { user: 'olga', key: 'mine', amountCents: 2600 });
    const query = '{ payouts { amountCents account } }';
    expect((await send(other.url, { user: 'olga', query })).body.data).toEqual({
      payouts: [{ amountCents: 2600, account: 'DE02120300000000202051' }],
    });
    expect((await send(other.url, { user: 'nobody', query })).body.data).toEqual({ payouts: [] });
  });
});

/** What a user's payout of this amount came to: a line of the provider's log, and a row, of the same id. */
async function effectsOf(user: string, amountCents: number): Promise<{ paid: string; booked: string[] }[]> {
  const { payouts } = await provider.log();
  const booked = await bookedOf(user);
  const paid = payouts.filter((payout: PaidPayout) => payout.amountCents === amountCents);
  expect(booked.filter(({ provider_id }) => !paid.some(({ id }) => id === provider_id))).toEqual([]);
  return paid.map(({ id }) => ({
    paid: id,
    booked: booked.filter(({ provider_id }) => provider_id === id).map(({ id }) => id),
  }));
}

async function bookedOf(user: string): Promise<{ id: string; provider_id: string }[]> {
  const { rows } = await client.query<{ id: string; provider_id: string }>(
    'select id, provider_id from payouts where user_id = $1',
    [user],
  );
  return rows;
}

function bookedAs({ body }: Response): { paid: string; booked: string[] } {
  const { id, providerId } = body.data!['payout'] as { id: string; providerId: string };
  return { paid: providerId, booked: [id] };
}
