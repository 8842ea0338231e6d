// @ts-check
/** Runs the tests, installing first what they need. Arguments go to vitest; the last line says how many passed. */

import { fileURLToPath } from 'node:url';
import { ensureRedis } from './install-program.mjs';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

// The reporter prints the closing line and says so here. What ends the run before it prints is a failure too.
process.env['TEST_CLOSING_LINE'] = 'due';
process.on('exit', () => {
  if (process.env['TEST_CLOSING_LINE'] !== 'due') return;
  process.exitCode ||= 1;
  process.stdout.write('0 passed, 1 failed, 0 skipped\n');
});

try {
  await ensureInstalled();
  // Tests of faults start, freeze and kill Redis servers of their own, also when TEST_REDIS_URL names a shared one.
  await ensureRedis();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

process.chdir(root);
const args = process.argv.slice(2);
// A reporter that is asked for takes the place of the configured ones, the closing line's among them.
if (args.some((arg) => arg.startsWith('--reporter')))
  args.push('--reporter=test/support/closing-line-reporter.ts');
process.argv = [process.execPath, 'vitest', 'run', ...args];
await import(new URL('../node_modules/vitest/vitest.mjs', import.meta.url).href);
