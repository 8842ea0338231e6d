/** The SDL that schema authors add to theirs; `schema/idempotent.graphql` is its only copy. */

import { readFileSync } from 'node:fs';

/** Defines `@idempotent` for fields of the mutation root type. */
export const typeDefs: string = readFileSync(
  new URL('../../schema/idempotent.graphql', import.meta.url),
  'utf8',
);
