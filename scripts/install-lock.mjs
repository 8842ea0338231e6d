// @ts-check
/** One installation at a time per checkout, also when the holder is killed. */

import { randomUUID } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const heartbeatMs = 1_000;
const silentAfterMs = 20_000;
const orphanPatienceMs = 5 * 60_000;
const patienceMs = 10 * 60_000;

/** @typedef {{ pid: number, token: string, workPid?: number, silentMs: number }} Holder */

/**
 * Runs the work while this process alone holds the checkout's lock. The work names each program that it starts,
 * because an npm whose parent was killed goes on writing.
 * @template T
 * @param {string} folder
 * @param {(started: (pid: number | undefined) => void) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withInstallLock(folder, work) {
  mkdirSync(join(folder, '.data'), { recursive: true });
  const lock = join(folder, '.data', 'install.lock');
  const token = randomUUID();
  await acquire(lock, token);
  const heartbeat = setInterval(() => touch(lock), heartbeatMs);
  try {
    return await work((workPid) => {
      // Written aside and renamed: a reader that found the file empty would not know whom to wait for.
      writeFileSync(`${lock}.${token}`, JSON.stringify({ pid: process.pid, token, workPid }));
      renameSync(`${lock}.${token}`, lock);
    });
  } finally {
    clearInterval(heartbeat);
    if (readHolder(lock)?.token === token) rmSync(lock, { force: true });
  }
}

/**
 * @param {string} lock
 * @param {string} token
 */
async function acquire(lock, token) {
  const own = `${lock}.${token}`;
  const deadline = Date.now() + patienceMs;
  let announced = false;
  writeFileSync(own, JSON.stringify({ pid: process.pid, token }));
  try {
    for (;;) {
      touch(own);
      // A link appears with its content, so no reader ever sees a lock that doesn't say whose it is.
      if (attempt(() => linkSync(own, lock))) return;
      const holder = readHolder(lock);
      if (holder !== undefined && isDead(holder) && takeOver(lock, own, holder)) return;
      if (!announced) console.error('Another process is installing in this checkout: waiting for it ...');
      announced = true;
      if (Date.now() > deadline)
        throw new Error(
          `Still locked after ten minutes. If nothing is installing, delete ${lock} and try again.`,
        );
      await wait(200);
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/**
 * Replaces a dead holder's lock. Two waiters may find it dead together: without the marker, made once per
 * token, the slower one would replace the lock that the faster one already holds.
 * @param {string} lock
 * @param {string} own
 * @param {Holder} dead
 */
function takeOver(lock, own, dead) {
  const marker = `${lock}.${dead.token}.taken`;
  if (!attempt(() => linkSync(own, marker))) return false;
  if (readHolder(lock)?.token !== dead.token) {
    rmSync(marker, { force: true });
    return false;
  }
  renameSync(own, lock);
  rmSync(marker, { force: true });
  return true;
}

/** @param {Holder} holder */
function isDead({ pid, workPid, silentMs }) {
  if (workPid !== undefined && silentMs < orphanPatienceMs && isRunning(workPid)) return false;
  // A pid can be somebody else's after a restart of the machine or the container; the heartbeat can't.
  return silentMs > silentAfterMs || !isRunning(pid);
}

/** @param {number} pid */
function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

/**
 * @param {string} lock
 * @returns {Holder | undefined}
 */
function readHolder(lock) {
  try {
    const silentMs = Date.now() - statSync(lock).mtimeMs;
    return { ...JSON.parse(readFileSync(lock, 'utf8')), silentMs };
  } catch {
    return undefined;
  }
}

/** @param {string} file */
function touch(file) {
  attempt(() => utimesSync(file, new Date(), new Date()));
}

/** @param {() => void} action */
function attempt(action) {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'EEXIST' || error.code === 'ENOENT'))
      return false;
    throw error;
  }
}
