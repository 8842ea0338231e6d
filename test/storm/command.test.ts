/** `npm run storm`: what it accepts, what it prints and draws, and how it exits. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { RetryBudget } from 'graphql-idempotency/client';
import { drawChart } from '../../bench/storm/chart.ts';
import { isDefault, readWorld } from '../../bench/storm/read-world.ts';
import type { Row } from '../../bench/storm/simulate.ts';
import { STRATEGIES } from '../../bench/storm/strategies.ts';
import { MINIMUM_PER_MINUTE, formatTable } from '../../bench/storm/table.ts';
import { DEFAULT_WORLD } from '../../bench/storm/world.ts';

describe('the options', () => {
  test('are those of the usual world when there are none', () => {
    expect(readWorld([])).toEqual(DEFAULT_WORLD);
    expect(isDefault(readWorld([]))).toBe(true);
  });

  test('make another world, with one rate for all rows', () => {
    const world = readWorld(['--seed', '7', '--clients', '30', '--rate', '0.5']);
    expect(world).toMatchObject({ seed: 7, clients: 30, ratePerClient: 0.5, rateWithoutBudget: 0.5 });
    expect(isDefault(world)).toBe(false);
  });

  test.each([
    ['--clients', '0'],
    ['--clients', '1.5'],
    ['--seed', '-1'],
    ['--seed', 'x'],
    ['--rate', '0'],
    ['--rate', ''],
    ['--rates', '1'],
  ])('%s=%s is refused', (name, value) => {
    expect(() => readWorld([`${name}=${value}`])).toThrow(name);
  });
});

const rows: readonly Row[] = STRATEGIES.map(({ name }, index) => ({
  name,
  ratePerClient: 5,
  requestsPerIntent: 1.5,
  load: [1, 2, 3],
  peakDuring: index + 1,
  peakAfter: 1,
  peakOfTenMs: 9,
  drainMs: index === 0 ? undefined : 8000,
  met: 200,
  lost: 50,
  saved: 150,
  executedTwice: 1234,
}));

test('the minimum that is printed is that of a budget with the defaults', () => {
  const budget = new RetryBudget();
  let taken = 0;
  while (budget.take()) taken += 1;
  expect(taken).toBe(MINIMUM_PER_MINUTE);
});

test('the table has a line for each row, all as wide', () => {
  const lines = formatTable(rows).split('\n');
  expect(lines).toHaveLength(STRATEGIES.length + 2);
  expect(new Set(lines.map(({ length }) => length)).size).toBe(1);
  expect(lines[2]).toMatch(/^\| no jitter .* 1\.50 .* 25 % .* 75 % .* 1,234 \|$/);
  expect(lines[2]).toContain('too long');
});

test('the chart has a line and a label for each row, a title and a description', () => {
  const svg = drawChart(rows, DEFAULT_WORLD);
  expect(svg.match(/<polyline /g)).toHaveLength(STRATEGIES.length);
  expect(svg.match(/class="label /g)).toHaveLength(STRATEGIES.length);
  expect(svg).toMatch(/aria-labelledby="title desc"/);
  expect(svg).toContain('Highest load with full jitter: 3.00 times normal.');
  expect(svg).toContain('prefers-color-scheme: dark');
  expect(svg).not.toMatch(/NaN|undefined|https?:\/\/(?!www\.w3\.org)/);
});

test('a bound that is missed is printed, and is the exit code', { timeout: 240_000 }, async () => {
  const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
  const args = [path('../../scripts/run.mjs'), path('../../bench/storm/main.ts'), '--clients=5', '--rate=1'];
  const { code, stdout } = await new Promise<{ code: unknown; stdout: string }>((resolve) => {
    execFile(process.execPath, args, (error, stdout) => resolve({ code: error?.code ?? 0, stdout }));
  });
  expect(stdout).toMatch(/Request rate per client: 1 a second/);
  expect(stdout).toMatch(/Budget's minimum: 10 retries a minute/);
  expect(stdout).toMatch(/^missed {2}full jitter with budget and Retry-After: peak load/m);
  expect(stdout).toMatch(/^ok {6}full jitter: no intent executed twice: 0$/m);
  expect(stdout).not.toContain('The chart is in');
  expect(code).toBe(1);
});
