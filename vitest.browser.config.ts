/** How the browser tests run: the checkout of the payments example in real Chromium. */

import { configDefaults, defineConfig } from 'vitest/config';
import config from './vitest.config.ts';

export default defineConfig({
  ...config,
  test: {
    ...config.test,
    include: ['test/browser/**/*.test.ts'],
    exclude: configDefaults.exclude,
    globalSetup: ['test/support/servers.ts', 'test/browser/chromium.ts'],
    maxWorkers: 2,
    testTimeout: 60_000,
  },
});
