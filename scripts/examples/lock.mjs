// @ts-check
/** Makes an example's package-lock.json as it is committed: bound to no registry, and to no one build of the library. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { copyExample } from './prepare.mjs';
import { run } from './run.mjs';

/** @typedef {import('./list.mjs').Example} Example */

const library = 'node_modules/graphql-idempotency';

/**
 * Writes the lockfile into the example's folder. Versions that are locked already stay.
 * @param {Example} example
 * @param {string} tarball
 * @param {string} folder
 * @returns {Promise<void>}
 */
export async function lockExample(example, tarball, folder) {
  const copy = copyExample(example, tarball, folder);
  const file = join(copy, 'package-lock.json');
  if (existsSync(file)) {
    // npm would believe the old entry, and never look at what the library depends on today.
    const lock = JSON.parse(readFileSync(file, 'utf8'));
    delete lock.packages[library];
    writeFileSync(file, JSON.stringify(lock));
  }
  await run('npm', ['install', '--package-lock-only', '--prefer-offline', '--no-audit', '--no-fund'], copy);
  writeFileSync(join(example.folder, 'package-lock.json'), portable(readFileSync(file, 'utf8')));
}

/** @param {string} text */
function portable(text) {
  const lock = JSON.parse(text);
  for (const entry of Object.values(lock.packages)) {
    if (/^https?:/.test(entry.resolved ?? '')) delete entry.resolved;
  }
  // The next build has another one, and with it npm would refuse to install.
  delete lock.packages[library].integrity;
  return `${JSON.stringify(lock, null, 2)}\n`;
}
