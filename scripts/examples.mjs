// @ts-check
/**
 * Tests the library examples as their readers would run them: each is installed from its own lockfile with the packed
 * library, built, started, and put through `test/examples/libraries`. The last line says how many tests passed.
 *
 *     examples.mjs [--only NAMES] [--package FILE] [--keep]
 *     examples.mjs --lock NAMES|all
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { listExamples } from './examples/list.mjs';
import { lockExample } from './examples/lock.mjs';
import { packLibrary, packManifest } from './examples/pack.mjs';
import { prepareExample } from './examples/prepare.mjs';
import { twoAtATime } from './examples/run.mjs';
import { ensureRedis } from './install-program.mjs';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    lock: { type: 'string' },
    package: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});

await ensureInstalled();
const folder = mkdtempSync(join(tmpdir(), 'graphql-idempotency-examples-'));
process.on('exit', () => {
  if (options.keep) console.error(`Kept: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
});
// A signal alone would end this process without its exit handlers, and leave the folder.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

try {
  if (options.lock === undefined) await test();
  else await lock(options.lock);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

/** @param {string} names */
async function lock(names) {
  const packed = packManifest(root, folder);
  const examples = listExamples(root, names === 'all' ? undefined : names);
  await twoAtATime(examples, (example) => lockExample(example, packed, folder));
}

async function test() {
  // As in test.mjs: what ends the run before the reporter prints its line is a failure too.
  process.env['TEST_CLOSING_LINE'] = 'due';
  process.on('exit', () => {
    if (process.env['TEST_CLOSING_LINE'] !== 'due') return;
    process.exitCode ||= 1;
    process.stdout.write('0 passed, 1 failed, 0 skipped\n');
  });
  await ensureRedis();
  const packed = options.package === undefined ? packLibrary(root, folder) : resolve(options.package);
  const prepared = await twoAtATime(listExamples(root, options.only), (example) =>
    prepareExample(example, packed, folder),
  );
  const manifest = join(folder, 'manifest.json');
  writeFileSync(manifest, JSON.stringify(prepared));
  process.env['EXAMPLES_MANIFEST'] = manifest;
  if (options.only === undefined) process.env['EXAMPLES_COMPLETE'] = '1';

  process.chdir(root);
  process.argv = [process.execPath, 'vitest', 'run', '--config', 'vitest.examples.config.ts'];
  await import(new URL('../node_modules/vitest/vitest.mjs', import.meta.url).href);
}
