/** How the tests run that take minutes: programs that are killed at every point, and the example as a program. */

import { configDefaults, defineConfig } from 'vitest/config';
import config, { long } from './vitest.config.ts';

export default defineConfig({
  ...config,
  test: { ...config.test, include: long, exclude: configDefaults.exclude },
});
