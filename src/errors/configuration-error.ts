/** The error that stops a server at startup. */

/** Says which option, variable, schema coordinate or store is wrong, and what to do. Never prints a secret. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}
