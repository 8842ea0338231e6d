/** Reads ISO 8601 durations of a fixed length. */

import { GraphQLISO8601Duration } from 'graphql-scalars';

const FIXED = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const UNITS_MS = [7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1000] as const;

/**
 * Returns the length of an ISO 8601 duration in milliseconds.
 *
 * @throws RangeError for anything else, and for years and months, which have no fixed length.
 */
export function durationMs(text: string): number {
  let parsed: string;
  try {
    parsed = GraphQLISO8601Duration.parseValue(text) as string;
  } catch {
    throw new RangeError(`expects an ISO 8601 duration such as "PT24H", got ${JSON.stringify(text)}`);
  }
  const parts = FIXED.exec(parsed);
  if (parts === null || parts.slice(1).every((part) => part === undefined)) {
    throw new RangeError(
      `expects weeks, days, hours, minutes and seconds (years and months have no fixed length), got ${JSON.stringify(text)}`,
    );
  }
  return UNITS_MS.reduce((total, unitMs, index) => total + Number(parts[index + 1] ?? 0) * unitMs, 0);
}
