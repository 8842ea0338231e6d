/** Resolves a configuration from options and an environment of the test's own. */

import { resolveConfig } from '../../src/config/config.ts';
import type { Config, Environment } from '../../src/config/config.ts';

export const DATABASE_URL = 'postgres://app@127.0.0.1:5432/app';

/** What was logged. */
export interface Log {
  readonly lines: string[];
}

/** Resolves with a scope and a database, which almost every configuration needs. */
export function resolve(
  options: Record<string, unknown> = {},
  environment: Environment = {},
  log: Log = { lines: [] },
): Config {
  const write = (message: string): void => void log.lines.push(message);
  return resolveConfig(
    { scope: () => 'alice', logger: { info: write, warn: write, error: write }, ...options },
    { IDEMPOTENCY_DATABASE_URL: DATABASE_URL, ...environment },
  );
}

/** Returns the error that a configuration stops the server with. */
export function refusal(options: Record<string, unknown>, environment: Environment = {}): Error {
  try {
    resolve(options, environment);
  } catch (error) {
    return error as Error;
  }
  throw new Error('the configuration was accepted');
}
