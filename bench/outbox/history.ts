/**
 * What a relay costs behind a long history, and while a foreign transaction keeps an old snapshot:
 * `npm run bench:outbox -- [--json FILE] [--events 1000000] [--relays 2] [--batch 100] [--seconds 300]`.
 */

import { execFileSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createIdempotency } from 'graphql-idempotency';
import pg from 'pg';
import { startPostgres } from '../../test/support/postgres-server.ts';
import { forkBench } from './fork-bench.ts';
import { insertEvents } from './insert-events.ts';
import { percentile } from './percentile.ts';
import type { RelayProgress } from './relay-process.ts';

const { values: options } = parseArgs({
  options: {
    json: { type: 'string' },
    events: { type: 'string', default: '1000000' },
    relays: { type: 'string', default: '2' },
    batch: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '300' },
  },
});

/** What was seen at one mark. */
interface Mark {
  readonly published: number;
  readonly claimP50Ms: number;
  readonly eventsPerSecond: number;
  readonly tableMiB: number;
  readonly indexesMiB: number;
  /** How often autovacuum has been through the table. */
  readonly vacuums: number;
}

const total = Number(options.events);
const step = Math.ceil(total / 10);
/** As many wait at most: enough for every claim to be full, and too few to be a history of their own. */
const BACKLOG = 10_000;
const CHUNK = 2500;
const MIB = 1024 * 1024;

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
execFileSync(path('../../node_modules/.bin/tsc'), ['-p', path('../../tsconfig.build.json')], {
  stdio: 'inherit',
});

const postgres = await startPostgres({ settings: { fsync: 'on', full_page_writes: 'on' } });
const connect = async (): Promise<pg.Client> => {
  const connected = new pg.Client({ connectionString: postgres.url });
  await connected.connect();
  return connected;
};
const children: ChildProcess[] = [];

try {
  const migrating = createIdempotency({
    scope: () => 'bench',
    postgres: postgres.url,
    redis: false,
    logger: { info: () => {}, warn: console.warn, error: console.error },
  });
  await migrating.migrate();
  await migrating.close();
  const feeding = await connect();
  const reading = await connect();
  let published = 0;
  let claimsMs: number[] = [];
  for (let relay = 0; relay < Number(options.relays); relay += 1) {
    const child = forkBench('relay-process.ts', {
      BENCH_DATABASE_URL: postgres.url,
      BENCH_BATCH: options.batch,
    });
    child.on('message', (progress: RelayProgress) => {
      published += progress.published;
      claimsMs.push(...progress.claimsMs);
    });
    children.push(child);
  }

  const deadline = performance.now() + Number(options.seconds) * 1000;
  let inserted = 0;

  /** Has `count` more events published, and looks at the outbox after every `each`. */
  async function publishMore(count: number, each: number): Promise<readonly Mark[]> {
    const marks: Mark[] = [];
    const end = inserted + count;
    let markAt = published + each;
    let markedAt = performance.now();
    let markedPublished = published;
    while (published < end) {
      if (performance.now() > deadline) throw new Error(`not done within ${options.seconds} s`);
      if (inserted < end && inserted - published < BACKLOG) {
        await insertEvents(feeding, Math.min(CHUNK, end - inserted), 'bench');
        inserted += Math.min(CHUNK, end - inserted);
      } else await sleep(5);
      if (published < markAt && published < end) continue;
      const now = performance.now();
      const outbox = await outboxOf(reading);
      const mark = {
        published,
        claimP50Ms: round(percentile(claimsMs, 0.5)),
        eventsPerSecond: Math.round((published - markedPublished) / ((now - markedAt) / 1000)),
        ...outbox,
      };
      print(mark);
      marks.push(mark);
      claimsMs = [];
      [markAt, markedAt, markedPublished] = [markAt + each, performance.now(), published];
    }
    return marks;
  }

  console.log(
    `\n${options.relays} relays that publish to nobody, ${options.batch} events a claim; Node ${process.version}, ${cpus().length} cores for relays, feeder and Postgres.\n`,
  );
  console.log(
    '| published | claim p50, ms | events/s | table, MiB | indexes, MiB | autovacuums |\n|---|---|---|---|---|---|',
  );
  const history = await publishMore(total, step);
  console.log('\nThe same with a foreign snapshot that is held open:\n');
  const foreign = await connect();
  await foreign.query('begin isolation level repeatable read');
  await foreign.query('select count(*) from graphql_idempotency.outbox');
  const snapshot = await publishMore(step, Math.ceil(step / 5));
  await foreign.query('commit');
  await Promise.all([foreign.end(), feeding.end(), reading.end()]);
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ history, snapshot }, null, 2)}\n`);
  }
} finally {
  await Promise.all(children.map(stopped));
  await postgres.remove();
}

async function outboxOf(client: pg.Client): Promise<Pick<Mark, 'tableMiB' | 'indexesMiB' | 'vacuums'>> {
  const { rows } = await client.query<{
    readonly heap: string;
    readonly indexes: string;
    readonly vacuums: string;
  }>(
    `select pg_table_size(relid) as heap, pg_indexes_size(relid) as indexes, autovacuum_count as vacuums
     from pg_stat_user_tables where schemaname = 'graphql_idempotency' and relname = 'outbox'`,
  );
  const { heap, indexes, vacuums } = rows[0]!;
  return {
    tableMiB: round(Number(heap) / MIB),
    indexesMiB: round(Number(indexes) / MIB),
    vacuums: Number(vacuums),
  };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.send('stop');
  await exited;
}

function print({ published, claimP50Ms, eventsPerSecond, tableMiB, indexesMiB, vacuums }: Mark): void {
  console.log(
    `| ${published} | ${claimP50Ms} | ${eventsPerSecond} | ${tableMiB} | ${indexesMiB} | ${vacuums} |`,
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
