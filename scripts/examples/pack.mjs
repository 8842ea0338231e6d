// @ts-check
/** Packs what would be published, from a build of its own: the checkout's `dist` may be somebody else's at this moment. */

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Builds and packs the library.
 * @param {string} root the repository
 * @param {string} folder where the work is done
 * @returns {string} the path of the tarball
 */
export function packLibrary(root, folder) {
  const stage = join(folder, 'library');
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const build = ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(stage, 'dist')];
  const compiled = spawnSync(process.execPath, [compiler, ...build], { cwd: root, stdio: 'inherit' });
  if (compiled.status !== 0) throw new Error('The library does not compile.');

  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of ['README.md', 'LICENSE', ...files]) {
    if (name !== 'dist') cpSync(join(root, name), join(stage, name), { recursive: true });
  }
  return packManifest(root, folder);
}

/**
 * Packs what is staged, or the bare package.json, which is all that a lockfile is made from.
 * @param {string} root
 * @param {string} folder
 * @returns {string} the path of the tarball
 */
export function packManifest(root, folder) {
  const stage = join(folder, 'library');
  mkdirSync(stage, { recursive: true });
  cpSync(join(root, 'package.json'), join(stage, 'package.json'));
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder];
  const name = execFileSync('npm', pack, { cwd: stage, encoding: 'utf8' }).trim();
  const tarball = join(folder, 'graphql-idempotency.tgz');
  renameSync(join(folder, name), tarball);
  return tarball;
}
