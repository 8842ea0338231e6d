/**
 * What is left when a test process ends, however it ends: nothing. A small process holds the list of servers
 * and folders and cleans up when the pipe to this process closes, kill -9 and Ctrl-C included.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** Has the process ended when this one is gone. */
export function watchProcess(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  note({ watch: pid, signal });
}

/** Takes a process that has ended from the list: its pid may soon be somebody else's. */
export function forgetProcess(pid: number): void {
  note({ forget: pid });
}

/** Makes a temporary folder that is deleted when this process is gone, and that other users can get to. */
export async function temporaryFolder(name: string): Promise<string> {
  const folder = mkdtempSync(join(await reachableTemporaryFolder(), `idempotency-${name}-`));
  note({ watch: folder });
  return folder;
}

/** Deletes a temporary folder early. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  note({ forget: folder });
}

/** Says whether any user of this machine may pass through the folder and all above it. */
export async function isReachableByAll(folder: string): Promise<boolean> {
  const { mode } = await stat(folder);
  if ((mode & 0o001) === 0) return false;
  const parent = dirname(folder);
  return parent === folder || isReachableByAll(parent);
}

// Postgres refuses to run as root and so runs as another user, who can't get into root's own folders.
async function reachableTemporaryFolder(): Promise<string> {
  const own = tmpdir();
  return process.getuid?.() !== 0 || (await isReachableByAll(own)) ? own : '/tmp';
}

let pipe: Writable | undefined;

function note(entry: Record<string, string | number>): void {
  pipe ??= startJanitor();
  pipe.write(`${JSON.stringify(entry)}\n`);
}

function startJanitor(): Writable {
  const script = fileURLToPath(new URL('./janitor-process.mjs', import.meta.url));
  const janitor = spawn(process.execPath, [script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  janitor.unref();
  // Typed as a plain stream, but a socket: it must not keep this process alive either.
  if ('unref' in janitor.stdin && typeof janitor.stdin.unref === 'function') janitor.stdin.unref();
  janitor.stdin.on('error', () => undefined);
  return janitor.stdin;
}
