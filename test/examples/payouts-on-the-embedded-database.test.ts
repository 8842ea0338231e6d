/** The example's payouts straight after a clone: the server starts the provider itself, on one connection. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { PaidPayout } from '../../examples/payments/provider.ts';
import { freePort } from '../support/free-port.ts';
import { forgetProcess, removeFolder, temporaryFolder, watchProcess } from '../support/janitor.ts';
import { eventually, within } from '../support/signal.ts';
import { cleanEnvironment, outcomeOf, payout, payoutUntilAnswered, send, startPayments } from './payments.ts';
import { startProvider } from './provider.ts';

const timeoutMs = 120_000;
const root = fileURLToPath(new URL('../..', import.meta.url));

describe('payouts on the embedded database', () => {
  it(
    'are served by npm start, which prints one line and ends its provider with itself',
    async () => {
      const port = await freePort();
      const log = join(root, '.data', `provider-${port}.jsonl`);
      const server = spawn(process.execPath, ['scripts/run.mjs', 'examples/payments/server.ts'], {
        cwd: root,
        env: { ...process.env, ...cleanEnvironment, PORT: String(port) },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      watchProcess(server.pid!);
      let stdout = '';
      server.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      server.stderr.resume();
      const url = await eventually(() => /^ready (\S+)\n/.exec(stdout)?.[1], { timeoutMs: 60_000 });
      const request = { key: 'start', amountCents: 1100 };
      expect(outcomeOf(await payout(url, request))).toBe('executed');
      expect(outcomeOf(await payout(url, request))).toBe('replayed');
      expect(await paidIn(log)).toMatchObject([{ amountCents: 1100 }]);

      // The provider writes to the same stderr, which closes only when both have ended.
      const closed = once(server, 'close');
      server.kill('SIGINT');
      expect(await within(closed)).toEqual([0, null]);
      forgetProcess(server.pid!);
      expect(stdout).toMatch(/^ready http:\/\/localhost:\d+\/\n$/);
      removeFolder(join(root, '.data', `payments-${port}`));
      removeFolder(log);
    },
    timeoutMs,
  );

  it(
    'are paid and booked once, whatever happens to the server and the provider',
    async () => {
      const provider = await startProvider();
      const env = {
        IDEMPOTENCY_EMBEDDED_FOLDER: await temporaryFolder('payouts'),
        IDEMPOTENCY_LEASE: 'PT3S',
        PROVIDER_URL: provider.url,
      };
      const killed = await startPayments({ file: 'demo/pausing-payouts.ts', env });
      const unanswered = expect(payout(killed.url, { key: 'killed' })).rejects.toThrow('fetch failed');
      await killed.child.message((message) => message === 'paused');
      await killed.child.kill();
      await unanswered;

      const { url } = await startPayments({ env });
      expect(outcomeOf(await payoutUntilAnswered(url, { key: 'killed' }))).toBe('executed');
      expect(outcomeOf(await payout(url, { key: 'killed' }))).toBe('replayed');
      expect(await provider.log()).toMatchObject({ asked: 1 });

      await provider.behave({ mode: 'fail' });
      expect(outcomeOf(await payout(url, { key: 'failed' }))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
      expect(outcomeOf(await payout(url, { key: 'failed' }))).toBe('executed');
      expect(await provider.log()).toMatchObject({ asked: 3 });

      await provider.behave({ mode: 'hang' });
      const answer = payout(url, { key: 'hanging' });
      await eventually(async () => (await provider.log()).payouts.length === 3);
      // The one connection is free meanwhile.
      expect(outcomeOf(await payout(url, { key: 'another' }))).toBe('executed');
      expect(outcomeOf(await payout(url, { key: 'hanging' }))).toBe('IDEMPOTENCY_IN_PROGRESS');
      await provider.behave({ mode: 'normal' });
      expect(outcomeOf(await answer)).toBe('executed');

      const { asked, payouts } = await provider.log();
      expect({ asked, paid: payouts.length }).toEqual({ asked: 5, paid: 4 });
      const { body } = await send(url, { user: 'alice', query: '{ payouts { providerId } }' });
      const booked = body.data!['payouts'] as { providerId: string }[];
      expect(booked.map(({ providerId }) => providerId).toSorted()).toEqual(
        payouts.map(({ id }) => id).toSorted(),
      );
    },
    timeoutMs,
  );
});

async function paidIn(log: string): Promise<PaidPayout[]> {
  const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as PaidPayout);
}
