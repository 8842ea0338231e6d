/**
 * How this store reads the answers to its own statements. An application may have told the driver, or the pool
 * that it lends, to read types in its own way; read so, `false` could be the text "f", and true enough.
 */

import type { CustomTypesConfig } from 'pg';

const asText = (value: string): unknown => value;

/** By the oids of bool, int2, int4, json and float8; everything else stays text. */
const parsers = new Map<number, (value: string) => unknown>([
  [16, (value) => value === 't'],
  [21, Number],
  [23, Number],
  [114, (value) => JSON.parse(value) as unknown],
  [701, Number],
]);

export const resultTypes = {
  getTypeParser: (oid: number) => parsers.get(oid) ?? asText,
} as unknown as CustomTypesConfig;
