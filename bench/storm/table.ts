/** The storm in words: a table in Markdown, what it assumed, and what became of the bounds. */

import type { Bound } from './bounds.ts';
import type { Row } from './simulate.ts';
import { normalPerSecond } from './world.ts';
import type { World } from './world.ts';

/** The budget's own default; a test compares. */
export const MINIMUM_PER_MINUTE = 10;

const COLUMNS: readonly (readonly [title: string, cell: (row: Row) => string])[] = [
  ['', ({ name }) => name],
  ['intents a second per client', ({ ratePerClient }) => String(ratePerClient)],
  ['requests per intent', ({ requestsPerIntent }) => requestsPerIntent.toFixed(2)],
  ['peak load in the outage', ({ peakDuring }) => times(peakDuring)],
  ['after it', ({ peakAfter }) => times(peakAfter)],
  ['in any 10 ms', ({ peakOfTenMs }) => times(peakOfTenMs, 1)],
  [
    'time to drain',
    ({ drainMs }) => (drainMs === undefined ? 'too long' : `${(drainMs / 1000).toFixed(0)} s`),
  ],
  ['intents of the outage lost', ({ lost, met }) => `${((100 * lost) / met).toFixed(0)} %`],
  ['answered late', ({ saved, met }) => `${((100 * saved) / met).toFixed(0)} %`],
  ['executed twice', ({ executedTwice }) => count(executedTwice)],
];

export function formatTable(rows: readonly Row[]): string {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, cell]) => cell(row)))];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map((line) => line[column]!.length), 4));
  const lines = cells.map((line) => line.map((cell, column) => pad(cell, column, widths[column]!)));
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [lines[0]!, rule, ...lines.slice(1)].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

export function formatAssumptions(world: World): string {
  const { seed, clients, ratePerClient, capacity, crashMs, executionMs, retryAfterSeconds, lostShare } =
    world;
  const { warmUpMs, outageMs } = world;
  return [
    `Seed ${seed}. ${count(clients)} clients, each a process with a retry budget of its own.`,
    `Request rate per client: ${ratePerClient} a second, evenly; normal load: ${count(normalPerSecond(world))} a second.`,
    ...(world.rateWithoutBudget === ratePerClient
      ? []
      : [
          `Rows without a budget: ${world.rateWithoutBudget} a second. Nothing in them depends on it, and it saves time.`,
        ]),
    `Budget's minimum: ${MINIMUM_PER_MINUTE} retries a minute per client, all at once if need be; its share: 10 % of requests.`,
    `The server is down for ${outageMs / 1000} s after ${warmUpMs / 1000} s; in the first ${crashMs} ms it executes and answers get lost.`,
    `A mutation takes ${executionMs} ms; ${lostShare * 100} % of answers get lost on any day.`,
    `A refusal is a 503, with Retry-After: ${retryAfterSeconds} in the last row. Back up, the server takes ${capacity} × the normal load.`,
  ].join('\n');
}

export function formatBounds(bounds: readonly Bound[]): string {
  return bounds
    .map(({ claim, measured, holds }) => `${holds ? 'ok    ' : 'missed'}  ${claim}: ${measured}`)
    .join('\n');
}

function pad(cell: string, column: number, width: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width);
}

function times(load: number, digits = 2): string {
  return `${load.toFixed(digits)} ×`;
}

function count(value: number): string {
  return value.toLocaleString('en-GB');
}
