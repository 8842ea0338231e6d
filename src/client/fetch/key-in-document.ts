/** The key that a document carries itself: `@idempotent(key:)` on one of its fields. */

import { parseJson } from '../engine/parse-json.ts';

interface KeyedDocument {
  readonly query?: string;
  readonly variables?: Readonly<Record<string, unknown>> | null;
}

const KEYED =
  /"""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n\r])*"|#[^\n\r]*|@idempotent[\s,]*\([\s,]*key[\s,]*:[\s,]*(?:\$([_A-Za-z][_0-9A-Za-z]*)|("(?!"")(?:\\.|[^"\\\n\r])*"))/g;

/** The first such key; `undefined` where there is none, or where it can't be read. */
export function keyInDocument({ query, variables }: KeyedDocument): string | undefined {
  if (typeof query !== 'string') return undefined;
  for (const [, variable, literal] of query.matchAll(KEYED)) {
    const key = literal === undefined ? variable && variables?.[variable] : parseJson(literal);
    if (typeof key === 'string') return key;
  }
  return undefined;
}
