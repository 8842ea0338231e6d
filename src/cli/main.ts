#!/usr/bin/env node
/** The command line: `graphql-idempotency migrate`. */

import { parseArgs } from 'node:util';
import { migrate } from '../migrate/migrate.ts';

const USAGE = `Usage: graphql-idempotency migrate [--url URL] [--schema NAME]

Applies the missing migrations. Safe to run from many processes at once.

  --url     connection string of the Postgres server
            (default: IDEMPOTENCY_DATABASE_URL, else DATABASE_URL)
  --schema  the Postgres schema that holds the records
            (default: IDEMPOTENCY_SCHEMA, else graphql_idempotency)
`;

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { url: { type: 'string' }, schema: { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help === true || positionals.length !== 1 || positionals[0] !== 'migrate') {
    process.stderr.write(USAGE);
    return values.help === true ? 0 : 2;
  }
  const { env } = process;
  const connectionString = values.url ?? (env['IDEMPOTENCY_DATABASE_URL'] || env['DATABASE_URL']);
  const schema = values.schema ?? (env['IDEMPOTENCY_SCHEMA'] || 'graphql_idempotency');
  if (connectionString === undefined || connectionString === '') {
    process.stderr.write('No database: pass --url, or set IDEMPOTENCY_DATABASE_URL or DATABASE_URL.\n');
    return 2;
  }
  const { applied } = await migrate({ connectionString, schema });
  process.stdout.write(
    applied.length === 0
      ? `Schema ${schema} is up to date.\n`
      : `Schema ${schema}: applied ${applied.join(', ')}.\n`,
  );
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
