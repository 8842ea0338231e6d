/** The payments example straight after a clone: no server but its own, and one connection for everything. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { removeFolder } from '../support/janitor.ts';
import { within } from '../support/signal.ts';
import { charge, outcomeOf, send, startPayments } from './payments.ts';
import type { Payments } from './payments.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Nobody is paid out here, so that no server needs a provider of its own. */
const noProvider = 'http://127.0.0.1:9/';
let ports: number[];
let one: Payments;
let other: Payments;

beforeAll(async () => {
  ports = [await freePort(), await freePort()];
  const start = (port: number): Promise<Payments> =>
    startPayments({ env: { PORT: String(port), PROVIDER_URL: noProvider }, until: 'file' });
  [one, other] = await Promise.all([start(ports[0]!), start(ports[1]!)]);
  return async () => {
    await Promise.all([one.child.kill(), other.child.kill()]);
    for (const port of ports) removeFolder(folderOf(port));
  };
}, 120_000);

describe('payments on the embedded database', () => {
  it('are kept in a folder for each port, so that two servers run from one checkout', async () => {
    expect([one.url, other.url]).toEqual(ports.map((port) => `http://localhost:${port}/`));
    expect(ports.map((port) => existsSync(folderOf(port)))).toEqual([true, true]);
    expect(outcomeOf(await charge(one.url, { key: 'same' }))).toBe('executed');
    expect(outcomeOf(await charge(other.url, { key: 'same' }))).toBe('executed');
    expect(outcomeOf(await charge(one.url, { key: 'same' }))).toBe('replayed');
  });

  it('are charged and read at once on the one connection, and nobody waits for ever', async () => {
    const user = 'busy';
    const requests = Array.from({ length: 60 }, (_, index) =>
      index % 3 === 0
        ? send(one.url, { user, query: '{ payments { id } balance }' })
        : charge(one.url, { user, key: `key-${index % 10}`, amountCents: 100 + (index % 10) }),
    );
    const answers = await within(Promise.all(requests), { timeoutMs: 20_000 });
    const refused = answers.filter(({ status }) => status !== 200).map(outcomeOf);
    expect(refused.filter((outcome) => outcome !== 'IDEMPOTENCY_IN_PROGRESS')).toEqual([]);
    const account = await send(one.url, { user, query: '{ payments { id } balance }' });
    expect(account.body.data).toMatchObject({ balance: 1045 });
    expect(account.body.data?.['payments']).toHaveLength(10);
  });

  it('are still there, with their keys, after the server has stopped and started again', async () => {
    const user = 'loyal';
    const first = await charge(other.url, { user, key: 'kept' });
    expect(await other.child.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    other = await startPayments({
      env: { PORT: String(ports[1]), PROVIDER_URL: noProvider },
      until: 'file',
    });
    const again = await charge(other.url, { user, key: 'kept' });
    expect(outcomeOf(again)).toBe('replayed');
    expect(again.body.data).toEqual(first.body.data);
    expect((await send(other.url, { user, query: '{ balance }' })).body.data).toEqual({ balance: 500 });
  });
});

function folderOf(port: number): string {
  return join(root, '.data', `payments-${port}`);
}
