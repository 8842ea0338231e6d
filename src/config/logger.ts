/** Where the library says what an operator should know. */

/** Fits `console`, pino and winston: a message, and facts that carry no key, scope or argument. */
export interface Logger {
  info(message: string, facts?: Record<string, unknown>): void;
  warn(message: string, facts?: Record<string, unknown>): void;
  error(message: string, facts?: Record<string, unknown>): void;
}
