// @ts-check
/** Makes an example runnable in a folder of its own, from its lockfile and the packed library. */

import { copyFileSync, cpSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { run } from './run.mjs';

/** @typedef {import('./list.mjs').Example} Example */

/**
 * @typedef {object} PreparedExample
 * @property {string} name
 * @property {string} title
 * @property {'database' | 'schema'} kind
 * @property {string} folder where it is installed and built
 * @property {Readonly<Record<string, string>>} versions of the packages that it tells about
 * @property {string} [problem] why it could not be installed or built
 */

/** What is left of somebody's work in the folder of an example must not hide a mistake in the lockfile. */
const leftovers = ['node_modules', 'dist', 'graphql-idempotency.tgz'];

/**
 * Copies the example and the library's tarball.
 * @param {Example} example
 * @param {string} tarball
 * @param {string} folder where the copies go
 * @returns {string} the path of the copy
 */
export function copyExample({ name, folder: source }, tarball, folder) {
  const copy = join(folder, name);
  mkdirSync(copy);
  cpSync(source, copy, {
    recursive: true,
    filter: (path) => path === source || !leftovers.includes(basename(path)),
  });
  copyFileSync(tarball, join(copy, 'graphql-idempotency.tgz'));
  return copy;
}

/**
 * Installs and builds. A failure is a value: the suite reports it as the example's failed test.
 * @param {Example} example
 * @param {string} tarball
 * @param {string} folder
 * @returns {Promise<PreparedExample>}
 */
export async function prepareExample(example, tarball, folder) {
  const { name, title, kind, packages } = example;
  const copy = copyExample(example, tarball, folder);
  const prepared = { name, title, kind, folder: copy };
  try {
    const locked = JSON.parse(readFileSync(join(copy, 'package-lock.json'), 'utf8')).packages;
    const versions = Object.fromEntries(
      packages.map((package_) => [package_, locked[`node_modules/${package_}`].version]),
    );
    await run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], copy);
    await run('npm', ['run', 'build'], copy);
    return { ...prepared, versions };
  } catch (error) {
    return { ...prepared, versions: {}, problem: error instanceof Error ? error.message : String(error) };
  }
}
