/** What a call of `guard()` may be called. */

/** Longest name, in UTF-16 code units: four times as many bytes still fit the index on it. */
export const MAX_CALL_NAME_LENGTH = 255;

/** NUL, which Postgres does not take, and half characters, which it would store as another name. */
// oxlint-disable-next-line no-control-regex -- NUL is what it is about
const UNSTORABLE = /[\u0000\p{Surrogate}]/u;

export function isCallName(name: unknown): name is string {
  return (
    typeof name === 'string' && name !== '' && name.length <= MAX_CALL_NAME_LENGTH && !UNSTORABLE.test(name)
  );
}

/** Whether it looks like the coordinate of a field of one of these types. */
export function isFieldName(name: string, typeNames: ReadonlySet<string>): boolean {
  const dot = name.indexOf('.');
  return dot !== -1 && typeNames.has(name.slice(0, dot));
}
