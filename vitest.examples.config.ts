/** How the library examples are tested: by `scripts/examples.mjs`, which installs and builds them first. */

import { configDefaults, defineConfig } from 'vitest/config';
import config from './vitest.config.ts';

export default defineConfig({
  ...config,
  test: {
    ...config.test,
    include: ['test/examples/libraries/**/*.test.ts'],
    exclude: configDefaults.exclude,
  },
});
