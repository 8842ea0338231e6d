// @ts-check
/** Runs a command of an installation. */

import { spawn } from 'node:child_process';

/** @typedef {(pid: number | undefined) => void} Started */

/**
 * Runs a command with its output on our stderr: stdout belongs to the program that is being started.
 * @param {string} label
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, shell?: boolean, env?: NodeJS.ProcessEnv, started: Started }} options
 * @returns {Promise<void>}
 */
export function run(label, command, args, { started, ...options }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 2, 2] });
    started(child.pid);
    child.once('error', (cause) => {
      reject(new Error(`${label} could not be started: is ${command} on the PATH?`, { cause }));
    });
    child.once('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${label} failed (${signal ?? `exit code ${code}`}); its output is above.`));
    });
  });
}
