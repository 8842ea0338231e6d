/** What is kept of an error where an operator will read it. */

/** Enough of an error to see what it is; those of others may quote whatever they were given. */
const MAX_LENGTH = 2000;

/** Returns its message, or its name, as text that Postgres takes: it has no NUL, and JSON no half characters. */
export function errorText(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : textOf(error);
  return Buffer.from(text.slice(0, MAX_LENGTH)).toString().replaceAll('\u0000', '\ufffd');
}

/** An object without a prototype, as GraphQL makes them of arguments, has none, and says so by throwing. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return 'what has no text';
  }
}
