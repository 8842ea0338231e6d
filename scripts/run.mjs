// @ts-check
/** Runs a TypeScript file of this repository in this process, installing first where that is needed: `run.mjs FILE ARGS...` */

import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureInstalled } from './install.mjs';

const [node = process.execPath, , file, ...args] = process.argv;
if (file === undefined) {
  console.error('Usage: node scripts/run.mjs FILE ARGS...');
  process.exit(2);
}

await ensureInstalled();

// In this process and not in a child: a signal, kill -9 included, then reaches the program itself.
const { register } = await import('tsx/esm/api');
register({ tsconfig: fileURLToPath(new URL('../tsconfig.json', import.meta.url)) });

const path = resolve(file);
process.argv = [node, path, ...args];
await import(pathToFileURL(path).href);
