/** The migrations that this version ships: the SQL files of `schema/postgres`, in order. */

import { readFileSync, readdirSync } from 'node:fs';
import { quoteIdentifier } from './quote-identifier.ts';
import { literal } from './sql-literal.ts';

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

const folder = new URL('../../../schema/postgres/', import.meta.url);
let loaded: readonly Migration[] | undefined;

/** Returns every migration, oldest first. */
export function migrations(): readonly Migration[] {
  loaded ??= readdirSync(folder)
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .toSorted()
    .map((file) => ({
      version: Number(file.slice(0, 4)),
      name: file.slice(0, -'.sql'.length),
      sql: readFileSync(new URL(file, folder), 'utf8'),
    }));
  return loaded;
}

export function latestMigration(): Migration {
  return migrations().at(-1)!;
}

/** The files name the schema by psql's variable, so that they can be run by hand; here it is filled in. */
export function sqlFor(migration: Migration, schema: string): string {
  return migration.sql.replaceAll(/:"schema"|:'schema'/g, (place) =>
    place === ':"schema"' ? quoteIdentifier(schema) : literal(schema),
  );
}
