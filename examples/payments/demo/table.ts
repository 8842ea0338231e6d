/** How the demo looks: a table that grows line by line, in colour on a terminal. */

import { styleText } from 'node:util';
import type { Answer } from './client.ts';

type Style = Parameters<typeof styleText>[0];

const colourful = process.stdout.isTTY && !process.env['NO_COLOR'];
const columns = { step: 50, key: 9, status: 6, outcome: 25, payment: 10, time: 8 } as const;

export function printLine(text = '', style?: Style): void {
  console.log(style === undefined ? text : paint(style, text));
}

export function printHead(): void {
  printLine(
    `     ${cell('step', 'step')}${cell('key', 'key')}${cell('status', 'HTTP')}${cell('outcome', 'outcome')}${cell('payment', 'payment')}${'time'.padStart(columns.time)}`,
    'dim',
  );
}

/** Prints one request and its answer; `wrong` says what should have been instead. */
export function printStep(number: number, step: string, key: string, answer: Answer, wrong?: string): void {
  const { status, outcome, paymentId, tookMs } = answer;
  const mark = wrong === undefined ? paint('green', '✓') : paint('red', '✗');
  const cells = [
    cell('step', step),
    cell('key', key),
    cell('status', status === undefined ? '-' : String(status)),
    paint(styleOf(outcome), cell('outcome', outcome)),
    paint('dim', cell('payment', paymentId?.slice(0, 8) ?? '-')),
    paint('dim', `${Math.round(tookMs)} ms`.padStart(columns.time)),
  ];
  printLine(`${String(number).padStart(2)} ${mark} ${cells.join('')}`);
  if (wrong !== undefined) printLine(`     expected ${wrong}`, 'red');
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
