/** The demo's last scene, with programs of the example that are broken on purpose: in a copy. */

import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/janitor.ts';

/** Breaks a file: returns the lines, or groups of them, that replace it. */
export type Break = (source: string) => readonly string[];

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Copies the example, breaks the files that are named, and returns the demo's path. */
export async function brokenDemo(breaks: Readonly<Record<string, Break>>): Promise<string> {
  const folder = await temporaryFolder('broken-demo');
  const example = join(folder, 'examples', 'payments');
  await mkdir(join(folder, 'examples'));
  await cp(join(root, 'examples', 'payments'), example, { recursive: true });
  for (const name of ['package.json', 'scripts', 'node_modules']) {
    await symlink(join(root, name), join(folder, name));
  }
  const file = join(example, 'demo.ts');
  await rewrite(file, (source) => [source.replaceAll(/await (?!publisherAndBookkeeper)\w+\(play\);/g, '')]);
  for (const [name, change] of Object.entries(breaks)) await rewrite(join(example, name), change);
  return file;
}

async function rewrite(file: string, change: Break): Promise<void> {
  const source = await readFile(file, 'utf8');
  const changed = change(source);
  // What no longer matches would leave it whole, and prove nothing.
  if (changed.includes(source)) throw new Error(`${file} is still what it was`);
  await writeFile(file, changed.join('\n'));
}
