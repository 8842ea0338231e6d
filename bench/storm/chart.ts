/** The storm as a picture: load over normal by second, one line for each row; readable on light and dark pages. */

import { fullJitter, withBudget } from './engine.ts';
import { noJitter } from './no-jitter.ts';
import { retryLink } from './retry-link.ts';
import type { Row } from './simulate.ts';
import type { World } from './world.ts';

interface Line {
  readonly name: string;
  readonly label: string;
  readonly className: string;
  /** Where its label goes: seconds after the outage began, and how far below the line, in pixels. */
  readonly at: number;
  readonly below: number;
}

const LINES: readonly Line[] = [
  { name: noJitter.name, label: 'no jitter', className: 'plain', at: 20.5, below: 24 },
  { name: retryLink.name, label: 'Apollo’s RetryLink', className: 'apollo', at: 17, below: 26 },
  { name: fullJitter.name, label: 'full jitter', className: 'jitter', at: 10, below: -26 },
  { name: withBudget.name, label: 'budget and Retry-After', className: 'budget', at: 15.5, below: -46 },
];

const WIDTH = 820;
const HEIGHT = 440;
const PLOT = { left: 58, right: 796, top: 74, bottom: 384 };
/** Seconds before and after the outage's begin that are shown. */
const FROM = -5;
const UNTIL = 65;

const STYLE = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #57606a; }
    .page { fill: #ffffff; stroke: #d0d7de; }
    .head { font-size: 16px; font-weight: 600; fill: #1f2328; }
    .grid { stroke: #d8dee4; } .normal { stroke: #8c959f; } .takes { stroke: #8c959f; stroke-dasharray: 2 5; }
    .down { fill: #afb8c1; opacity: 0.22; }
    .line { fill: none; stroke-width: 2.25; stroke-linejoin: round; }
    .label { font-weight: 600; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round; }
    .line.plain { stroke: #8250df; } .label.plain { fill: #6639ba; }
    .line.apollo { stroke: #bf5700; } .label.apollo { fill: #a04700; }
    .line.jitter { stroke: #0969da; } .label.jitter { fill: #0757ba; }
    .line.budget { stroke: #1a7f37; stroke-width: 3; } .label.budget { fill: #116329; }
    @media (prefers-color-scheme: dark) {
      text { fill: #9198a1; }
      .page { fill: #0d1117; stroke: #3d444d; }
      .head { fill: #f0f6fc; }
      .grid { stroke: #262c36; } .normal, .takes { stroke: #656c76; }
      .down { fill: #656c76; opacity: 0.25; }
      .label { stroke: #0d1117; }
      .line.plain { stroke: #a371f7; } .label.plain { fill: #b78cff; }
      .line.apollo { stroke: #f0883e; } .label.apollo { fill: #f79b57; }
      .line.jitter { stroke: #58a6ff; } .label.jitter { fill: #79b8ff; }
      .line.budget { stroke: #3fb950; } .label.budget { fill: #56d364; }
    }
  `;

export function drawChart(rows: readonly Row[], world: World): string {
  const lines = LINES.map((line) => ({ ...line, row: rows.find(({ name }) => name === line.name)! }));
  const highest = Math.max(...lines.map(({ row }) => peakOf(row)));
  const top = Math.ceil(highest) + 1.25;
  const begin = world.warmUpMs / 1000;
  const x = (second: number): number =>
    round(PLOT.left + ((second - FROM) / (UNTIL - FROM)) * (PLOT.right - PLOT.left));
  const y = (load: number): number => round(PLOT.bottom - (load / top) * (PLOT.bottom - PLOT.top));
  const loadAt = (row: Row, second: number): number => row.load[begin + second] ?? 1;
  const seconds = Array.from({ length: UNTIL - FROM }, (_, index) => FROM + index);

  const across = (load: number, className: string): string =>
    `<line class="${className}" x1="${PLOT.left}" x2="${PLOT.right}" y1="${y(load)}" y2="${y(load)}"/>`;
  const text = (left: number, height: number, words: string, attributes = ''): string =>
    `<text x="${left}" y="${height}"${attributes}>${words}</text>`;
  const ticks = [0, 1, ...Array.from({ length: Math.floor(top / 2) }, (_, index) => 2 * (index + 1))];
  const outageSeconds = world.outageMs / 1000;
  const downWidth = round(x(outageSeconds) - x(0));

  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title desc">`,
    `<title id="title">Load on a server through an outage of ${outageSeconds} seconds, for four ways to retry</title>`,
    `<desc id="desc">Requests per second over the normal load. ${lines
      .map(({ row }) => `Highest load with ${escape(row.name)}: ${peakOf(row).toFixed(2)} times normal.`)
      .join(' ')}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${HEIGHT - 1}" rx="6"/>`,
    text(20, 32, `${world.clients.toLocaleString('en-GB')} clients and an outage`, ' class="head"'),
    text(20, 53, 'requests in each second, over the normal load'),
    `<rect class="down" x="${x(0)}" y="${PLOT.top}" width="${downWidth}" height="${PLOT.bottom - PLOT.top}"/>`,
    text(x(outageSeconds / 2), PLOT.top + 18, 'server down', ' text-anchor="middle"'),
    ...ticks.map((load) => across(load, load === 1 ? 'normal' : 'grid')),
    ...ticks.map((load) => text(PLOT.left - 10, y(load) + 4, `${load} ×`, ' text-anchor="end"')),
    across(world.capacity, 'takes'),
    text(x(outageSeconds) - 8, y(world.capacity) - 7, 'what the server can take', ' text-anchor="end"'),
    ...seconds
      .filter((second) => second % 10 === 0)
      .map((second) => text(x(second), PLOT.bottom + 20, `${second} s`, ' text-anchor="middle"')),
    text(PLOT.right, PLOT.bottom + 42, 'since the outage began', ' text-anchor="end"'),
    ...lines.map(({ className, row }) => {
      const points = seconds.map((second) => `${x(second + 0.5)},${y(loadAt(row, second))}`);
      return `<polyline class="line ${className}" points="${points.join(' ')}"/>`;
    }),
    ...lines.map(({ label, className, at, below, row }) =>
      text(
        x(at),
        y(loadAt(row, Math.floor(at))) + below,
        `${label}, ${peakOf(row).toFixed(peakOf(row) < 2 ? 2 : 1)} × at most`,
        ` class="label ${className}" text-anchor="middle"`,
      ),
    ),
    '</svg>',
    '',
  ].join('\n');
}

function peakOf({ peakDuring, peakAfter }: Row): number {
  return Math.max(peakDuring, peakAfter);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}
