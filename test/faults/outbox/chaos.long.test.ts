/** A short chaos run as a program, over Redis. `npm run chaos:outbox` makes the long ones, over each broker. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startChild } from '../../support/child.ts';
import { removeFolder, temporaryFolder } from '../../support/janitor.ts';

const SECONDS = 25;
/** Far fewer than a quiet machine makes. */
const ENOUGH = 200;

test('what is killed, frozen and restarted between commit and ledger loses, invents and doubles nothing', async () => {
  const folder = await temporaryFolder('chaos');
  const json = join(folder, 'facts.json');
  const child = startChild({
    file: new URL('chaos.ts', import.meta.url),
    args: ['--broker', 'redis', '--seconds', String(SECONDS), '--seed', '6', '--json', json],
  });
  const { code } = await child.exited;
  expect(code, child.output()).toBe(0);
  const facts = JSON.parse(readFileSync(json, 'utf8')) as Record<string, unknown>;
  removeFolder(folder);
  expect(facts).toMatchObject({ seed: 6, seconds: SECONDS, violations: 0 });
  expect(facts['operations']).toBeGreaterThan(ENOUGH);
  expect(facts['faultsByKind']).toMatchObject({ brokerKilled: expect.any(Number) as number });
  expect(facts['faults']).toBeGreaterThan(4);
}, 300_000);
