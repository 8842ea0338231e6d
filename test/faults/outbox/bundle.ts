/**
 * Puts each kind of process into a file of its own, with all that it imports: it then starts in a fraction of the time,
 * and most of what a run costs that starts a process every other second is starting them.
 */

import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import type { Role } from './plan-faults.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Returns the file of each role, somewhere in the folder. */
export async function bundleProcesses(folder: string): Promise<Readonly<Record<Role, string>>> {
  const output = join(folder, 'src', 'room', 'built');
  mkdirSync(output, { recursive: true });
  // The library reads what lies two and three folders above its files.
  symlinkSync(join(root, 'schema'), join(folder, 'schema'));
  symlinkSync(join(root, 'schema'), join(folder, 'src', 'schema'));
  const source = (role: Role): string => fileURLToPath(new URL(`${role}-process.ts`, import.meta.url));
  await build({
    root,
    configFile: false,
    envDir: false,
    logLevel: 'error',
    publicDir: false,
    resolve: { tsconfigPaths: true },
    // What no process here ever asks for.
    ssr: { noExternal: true, external: ['pg-native', '@electric-sql/pglite'] },
    build: {
      ssr: true,
      target: 'node20',
      outDir: output,
      minify: false,
      rolldownOptions: {
        input: { relay: source('relay'), ledger: source('ledger'), mutator: source('mutator') },
        output: { entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' },
      },
    },
  });
  const built = (role: Role): string => join(output, `${role}.mjs`);
  return { relay: built('relay'), ledger: built('ledger'), mutator: built('mutator') };
}
