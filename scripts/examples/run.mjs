// @ts-check
/** Runs a program to its end, and has what it printed when it fails. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Resolves when the program ended well; throws with its output when it did not.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} cwd
 * @returns {Promise<void>}
 */
export async function run(command, args, cwd) {
  // Its own environment would make npm take the options of the npm that runs this script.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')));
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => (output += chunk));
  const [code, signal] = await once(child, 'close');
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${code ?? signal}\n${output}`);
}

/**
 * Calls the work for every item, two at a time, and returns what they return in the items' order.
 * @template T, R
 * @param {readonly T[]} items
 * @param {(item: T) => Promise<R>} work
 * @returns {Promise<R[]>}
 */
export async function twoAtATime(items, work) {
  /** @type {R[]} */
  const results = [];
  const entries = items.entries();
  const worker = async () => {
    for (const [index, item] of entries) results[index] = await work(item);
  };
  await Promise.all([worker(), worker()]);
  return results;
}
