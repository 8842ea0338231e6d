// @ts-check
/** Finds the programs that npm does not bring, Redis, brokers and Chromium, and installs them where that needs no question. */

import { accessSync, constants, existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withInstallLock } from './install-lock.mjs';
import { run } from './run-command.mjs';

/** @typedef {import('./run-command.mjs').Started} Started */

const root = fileURLToPath(new URL('..', import.meta.url));
const dontStartServices = 'GRAPHQL_IDEMPOTENCY_NO_SERVICES';

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
