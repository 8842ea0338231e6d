// @ts-check
/** Runs the tests against brokers as `test.mjs` runs the others, installing the brokers first. */

import { ensureKcat, ensureNats, ensureRabbitMq } from './install-program.mjs';

try {
  // Not by the tests themselves, which would not wait so long.
  for (const ensure of [ensureNats, ensureRabbitMq, ensureKcat]) await ensure();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.log('0 passed, 1 failed, 0 skipped');
  process.exit(1);
}

process.argv.splice(2, 0, '--config', 'vitest.brokers.config.ts');
await import('./test.mjs');
