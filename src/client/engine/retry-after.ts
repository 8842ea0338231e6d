/** How long a server asks its clients to wait: `Retry-After`, in seconds or as a date. */

/** The part of `Headers` that is read. */
export interface AnswerHeaders {
  get(name: string): string | null;
}

/**
 * Reads `Retry-After` in milliseconds: 0 for a date that has passed, `undefined` where it is missing or makes
 * no sense. A date is measured against the server's own `Date`, where that is to be seen: clocks differ.
 */
export function readRetryAfter(headers: AnswerHeaders | undefined): number | undefined {
  const value = headers?.get('retry-after')?.trim();
  if (!value) return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000;
  // `Date.parse` finds a date in nearly everything, in "-5" too.
  if (!value.endsWith('GMT')) return undefined;
  const now = Date.parse(headers?.get('date') ?? '');
  const waitMs = Date.parse(value) - (Number.isNaN(now) ? Date.now() : now);
  return Number.isNaN(waitMs) ? undefined : Math.max(0, waitMs);
}
