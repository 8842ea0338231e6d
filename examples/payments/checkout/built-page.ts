/** The page as a folder of files: built when it is first asked for, and again after its sources have changed. */

import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const builds = join(root, '.data/checkout');
const sources = [
  'examples/payments/checkout/page',
  'examples/payments/checkout/build.ts',
  'src/client',
  'package-lock.json',
];

/** Resolves with the folder. Processes that build at once agree on it, as it is named after what is in it. */
export async function builtPage(): Promise<string> {
  const folder = join(builds, await fingerprint());
  if (existsSync(folder)) return folder;
  const unfinished = join(builds, `unfinished-${randomUUID()}`);
  try {
    await build(unfinished);
    // Another process may have been faster.
    await rename(unfinished, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return folder;
}

async function build(folder: string): Promise<void> {
  const arguments_ = ['scripts/run.mjs', 'examples/payments/checkout/build.ts', folder];
  const child = spawn(process.execPath, arguments_, {
    cwd: root,
    env: { ...process.env, NODE_ENV: 'production' },
    // stdout is for one line, which is not the build's.
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // A server that stops meanwhile waits for no page.
  child.unref();
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`The build of the checkout page ended with ${code}.`);
}

async function fingerprint(): Promise<string> {
  const hash = createHash('sha256');
  for (const path of sources) {
    for (const file of await filesOf(join(root, path))) {
      hash
        .update(`${relative(root, file)}\0`)
        .update(await readFile(file))
        .update('\0');
    }
  }
  return hash.digest('hex').slice(0, 16);
}

async function filesOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return [path];
  const files = [];
  for (const { name } of entries.toSorted((one, other) => (one.name < other.name ? -1 : 1))) {
    files.push(...(await filesOf(join(path, name))));
  }
  return files;
}
