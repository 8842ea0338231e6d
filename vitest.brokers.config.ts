/** How the tests run that need brokers, which take their time to start. */

import { configDefaults, defineConfig } from 'vitest/config';
import config, { brokers } from './vitest.config.ts';

export default defineConfig({
  ...config,
  test: { ...config.test, include: brokers, exclude: configDefaults.exclude, hookTimeout: 150_000 },
});
