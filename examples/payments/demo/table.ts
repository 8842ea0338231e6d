/** How the demo looks: a table that grows line by line, in colour on a terminal. */

import { styleText } from 'node:util';
import type { Answer } from './client.ts';

type Style = Parameters<typeof styleText>[0];

const colourful = process.stdout.isTTY && !process.env['NO_COLOR'];
const columns = { step: 48, key: 9, status: 6, outcome: 29, id: 10, time: 8 } as const;

export function printLine(text = '', style?: Style): void {
  console.log(style === undefined ? text : paint(style, text));
}

export function printHead(): void {
  printLine(
    `     ${cell('step', 'step')}${cell('key', 'key')}${cell('status', 'HTTP')}${cell('outcome', 'outcome')}${cell('id', 'id')}${'time'.padStart(columns.time)}`,
    'dim',
  );
}

/** Prints one request and its answer; `wrong` says what should have been instead. */
export function printStep(number: number, step: string, key: string, answer: Answer, wrong?: string): void {
  const mark = wrong === undefined ? paint('green', '✓') : paint('red', '✗');
  printLine(`${String(number).padStart(2)} ${mark} ${row(step, key, answer)}`);
  if (wrong !== undefined) printLine(`     expected ${wrong}`, 'red');
}

/** Prints one request that is sent again because of its answer: how many there are depends on the moment. */
export function printRepetition(key: string, answer: Answer): void {
  const { retryAfterMs } = answer;
  const when = retryAfterMs === undefined ? '' : `, in ${(retryAfterMs / 1000).toFixed(1)} s`;
  printLine(`   · ${row(`to be sent again${when}`, key, answer)}`);
}

/** Prints something that happens between requests, or that comes of many. */
export function printFact(text: string, how: 'good' | 'wrong' = 'good'): void {
  printLine(`   ${how === 'good' ? '·' : paint('red', '✗')} ${text}`);
}

function row(step: string, key: string, { status, outcome, id, tookMs }: Answer): string {
  return [
    cell('step', step),
    cell('key', key),
    cell('status', status === undefined ? '-' : String(status)),
    paint(styleOf(outcome), cell('outcome', outcome)),
    paint('dim', cell('id', id?.slice(0, 8) ?? '-')),
    paint('dim', `${Math.round(tookMs)} ms`.padStart(columns.time)),
  ].join('');
}

function cell(column: keyof typeof columns, text: string): string {
  return `${text.padEnd(columns[column] - 1)} `;
}

function styleOf(outcome: string): Style {
  if (outcome === 'executed') return 'green';
  if (outcome === 'replayed') return 'cyan';
  return outcome === 'no answer' ? 'red' : 'yellow';
}

function paint(style: Style, text: string): string {
  return colourful ? styleText(style, text) : text;
}
