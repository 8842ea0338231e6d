/** How the tests run: every file in a process of its own, against servers that are started once. */

import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

/** Those that start dozens of processes, or weather storms, and take minutes: vitest.long.config.ts. */
export const long = [
  'test/faults/lease/**/*.test.ts',
  'test/faults/postgres/lease-*.test.ts',
  'test/{faults/postgres,guard/direct,inbox,outbox,store/runner}/{process-killed,killed}.test.ts',
  'test/faults/outbox/**/*.long.test.ts',
  'test/store/embedded/**/*.test.ts',
  'test/{docs,inbox,outbox,testing}/embedded.test.ts',
  'test/examples/*.test.ts',
  'test/storm/**/*.test.ts',
  'test/ambient/leaks.test.ts',
  'test/client/engine/failure-scripts.test.ts',
  'test/recovery/recover-killed.test.ts',
  'test/support/{install-lock,servers}.test.ts',
];

/** Those that need brokers: vitest.brokers.config.ts. */
export const brokers = ['test/brokers/**/*.test.ts'];

export default defineConfig({
  resolve: {
    alias: [
      // graphql-scalars and Apollo Server load graphql's CommonJS build: two builds would be two realms.
      {
        find: /^graphql$/,
        replacement: fileURLToPath(new URL('./node_modules/graphql/index.js', import.meta.url)),
      },
      { find: /^graphql-idempotency$/, replacement: source('index.ts') },
      { find: /^graphql-idempotency\/migrate$/, replacement: source('migrate/migrate.ts') },
      { find: /^graphql-idempotency\/testing$/, replacement: source('testing/verify-idempotency.ts') },
      {
        find: /^graphql-idempotency\/(redis-streams|nats|rabbitmq|kafka)$/,
        replacement: source('brokers/$1/$1.ts'),
      },
      { find: /^graphql-idempotency\/client$/, replacement: source('client/client.ts') },
      { find: /^graphql-idempotency\/client\/(apollo|react|urql)$/, replacement: source('client/$1/$1.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    // Examples that are installed and built, and a browser: vitest.examples.config.ts, vitest.browser.config.ts.
    exclude: [
      ...configDefaults.exclude,
      'test/examples/libraries/**',
      'test/browser/**',
      ...brokers,
      ...long,
    ],
    globalSetup: ['test/support/servers.ts'],
    reporters: ['default', './test/support/closing-line-reporter.ts'],
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 20_000,
    dangerouslyIgnoreUnhandledErrors: false,
    passWithNoTests: false,
    allowOnly: false,
  },
});
