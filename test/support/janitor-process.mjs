// @ts-check
/** Outlives the process that starts it just long enough to end that one's servers and delete their folders. */

import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

/** @type {Map<number, string>} */
const processes = new Map();
/** @type {Set<string>} */
const folders = new Set();

// Ctrl-C and a closed terminal reach the whole group; only the end of the pipe says that the owner is gone.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

createInterface({ input: process.stdin }).on('line', note).on('close', cleanUp);

/** @param {string} line */
function note(line) {
  const { watch, forget, signal } = JSON.parse(line);
  if (typeof watch === 'number') processes.set(watch, signal);
  if (typeof watch === 'string') folders.add(watch);
  if (typeof forget === 'number') processes.delete(forget);
  if (typeof forget === 'string') folders.delete(forget);
}

async function cleanUp() {
  for (const [pid, signal] of processes) {
    send(pid, 'SIGCONT');
    send(pid, signal);
  }
  for (let tries = 0; tries < 60 && [...processes.keys()].some((pid) => send(pid, 0)); tries += 1)
    await wait(50);
  for (const pid of processes.keys()) send(pid, 'SIGKILL');
  for (const folder of folders)
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/**
 * @param {number} pid
 * @param {string | number} signal
 */
function send(pid, signal) {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
