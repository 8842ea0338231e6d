// @ts-check
/** Which examples there are: every numbered folder of `examples/` is one, and its package.json says the rest. */

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {object} Example
 * @property {string} name the folder, such as `02-drizzle`
 * @property {string} page the name of its document, such as `drizzle`
 * @property {string} folder its path
 * @property {string} title
 * @property {'database' | 'schema'} kind which behaviours it has to show
 * @property {readonly string[]} packages those whose versions are told
 */

/**
 * Returns the examples in their order.
 * @param {string} root the repository
 * @param {string} [only] names, with or without their numbers, separated by commas; all without it
 * @returns {readonly Example[]}
 */
export function listExamples(root, only) {
  const names = readdirSync(join(root, 'examples'))
    .filter((name) => /^\d\d-/.test(name) && existsSync(join(root, 'examples', name, 'package.json')))
    .toSorted();
  const wanted = only === undefined ? names : only.split(',').map((name) => nameOf(name, names));
  return wanted.map((name) => describe(join(root, 'examples', name), name));
}

/**
 * @param {string} wanted
 * @param {readonly string[]} names
 */
function nameOf(wanted, names) {
  const found = names.find((name) => wanted === name || wanted === pageOf(name));
  if (found !== undefined) return found;
  throw new Error(`No example is called ${wanted}. There are: ${names.map(pageOf).join(', ')}`);
}

/** @param {string} name */
function pageOf(name) {
  return name.replace(/^\d\d-/, '');
}

/**
 * @param {string} folder
 * @param {string} name
 * @returns {Example}
 */
function describe(folder, name) {
  const { example } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const { title, kind, packages } = example ?? {};
  if (typeof title !== 'string' || !['database', 'schema'].includes(kind) || !Array.isArray(packages))
    throw new Error(`${name}/package.json needs "example": { "title", "kind", "packages" }`);
  return { name, page: pageOf(name), folder, title, kind, packages };
}
