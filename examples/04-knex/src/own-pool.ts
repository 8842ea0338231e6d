/** Knex with a pool of its own, made of clients that join: for versions before 3.3, which take no other pool. */

import { createRequire } from 'node:module';
import knex from 'knex';
import type { Knex } from 'knex';
import { idempotency } from './database.ts';

const require = createRequire(import.meta.url);
const PgClient = require('knex/lib/dialects/postgres/index.js') as typeof Knex.Client;

class JoinedClient extends PgClient {
  /** Knex asks this for `pg`. */
  _driver(): typeof idempotency.driver {
    return idempotency.driver;
  }
}

export function connect(url: string): Knex {
  return knex({ client: JoinedClient, connection: url });
}
