/** Records of every age, made by moving their timestamps instead of waiting. */

import pg from 'pg';
import { afterAll } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Service, ServiceOptions } from '../support/service.ts';

export interface SweepCase {
  readonly databaseUrl: string;
  readonly sql: pg.Pool;
  /** Starts a service that sweeps only when it is told to; it stops with the test file. */
  start(options?: Partial<ServiceOptions>): Promise<Service>;
  /** Makes completed records, named `prefix1`, `prefix2` and so on. */
  seed(seeds: Seeds): Promise<void>;
  /** Moves all times of all records into the past. */
  age(by: string): Promise<void>;
  records(): Promise<RecordRow[]>;
}

export interface Seeds {
  readonly count: number;
  readonly prefix: string;
  /** When they expire, counted from now; negative for the past. An SQL interval. */
  readonly expires: string;
  /** When they may be taken over, counted from their expiry. @defaultValue none */
  readonly tombstone?: string;
}

export interface RecordRow {
  readonly name: string;
  readonly state: string;
  readonly hasBody: boolean;
}

/** What the end of the file ends; a hook that is set up inside another hook never runs. */
const endings: (() => Promise<void>)[] = [];
afterAll(async () => {
  await Promise.all(endings.map((end) => end()));
});

/** Makes a database for one test file. */
export async function startSweepCase(): Promise<SweepCase> {
  const database = await createDatabase({ migrated: true });
  const sql = new pg.Pool({ connectionString: database.url, max: 8 });
  sql.on('error', () => undefined);
  const services: Service[] = [];
  endings.push(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await sql.end();
    await database.drop();
  });
  return {
    databaseUrl: database.url,
    sql,
    async start(options = {}) {
      const service = await startService({ databaseUrl: database.url, ...options });
      services.push(service);
      return service;
    },
    seed: async ({ count, prefix, expires, tombstone = '0' }) =>
      void (await sql.query(
        `insert into graphql_idempotency.record (completed_at, expires_at, takeover_after, sweep_after, mode,
            state, outcome, fingerprint_version, codec_version, identity, scope_hash, fingerprint, coordinate, body)
          select e - interval '1 day', e, e + $4::interval, e, 'transaction', 'completed', 'result', 1, 1,
            sha256(name::bytea), sha256('s'), sha256('f'), name, '"x"'
          from (select $2 || n as name, clock_timestamp() + $3::interval as e from generate_series(1, $1) as n) as seeds`,
        [count, prefix, expires, tombstone],
      )),
    age: async (by) =>
      void (await sql.query(
        `update graphql_idempotency.record set completed_at = completed_at - $1::interval,
          expires_at = expires_at - $1::interval, takeover_after = takeover_after - $1::interval,
          sweep_after = sweep_after - $1::interval`,
        [by],
      )),
    records: async () =>
      (
        await sql.query<RecordRow>(
          `select coordinate as name, state::text as state, body is not null as "hasBody"
            from graphql_idempotency.record order by coordinate collate "C"`,
        )
      ).rows,
  };
}
