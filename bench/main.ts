/**
 * What the guard costs, as a ratio against the same mutation without it, measured in one run:
 * `npm run bench -- [--json FILE] [--seconds 4] [--rounds 3] [--connections 32] [--only NAME,NAME]`.
 */

import { execFileSync, fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startPostgres } from '../test/support/postgres-server.ts';
import { startRedis } from '../test/support/redis-server.ts';
import { measure, send } from './load.ts';
import { reportRelay } from './outbox/report-relay.ts';
import type { Ports } from './server.ts';

const { values: options } = parseArgs({
  options: {
    json: { type: 'string' },
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    only: { type: 'string' },
  },
});

interface Variant {
  readonly name: string;
  readonly about: string;
  /** Whether resolvers write through `idempotency.pool`, and not through the transaction that they are given. */
  readonly joins?: boolean;
  readonly port: (ports: Ports) => number;
  readonly field: string;
  readonly keys: 'none' | 'new' | 'known';
}

const all: readonly Variant[] = [
  {
    name: 'bare',
    about: 'bare mutation, no guard',
    port: ({ postgres }) => postgres,
    field: 'bare',
    keys: 'none',
  },
  {
    name: 'first.postgres',
    about: 'first execution, Postgres only',
    port: ({ postgres }) => postgres,
    field: 'pay',
    keys: 'new',
  },
  {
    name: 'first.joined',
    about: 'first execution, written through idempotency.pool',
    joins: true,
    port: ({ postgres }) => postgres,
    field: 'pay',
    keys: 'new',
  },
  {
    name: 'first.event',
    about: 'first execution, Postgres only, with one event',
    port: ({ postgres }) => postgres,
    field: 'payAndTell',
    keys: 'new',
  },
  {
    name: 'first.redis',
    about: 'first execution, Redis in front',
    port: ({ redis }) => redis,
    field: 'pay',
    keys: 'new',
  },
  {
    name: 'handwritten',
    about: 'claim, work and completion by hand, no guard',
    port: ({ postgres }) => postgres,
    field: 'handwritten',
    keys: 'new',
  },
  {
    name: 'lease',
    about: 'first execution in LEASE mode, Postgres only',
    port: ({ postgres }) => postgres,
    field: 'wire',
    keys: 'new',
  },
  {
    name: 'noop',
    about: 'mutation that does nothing',
    port: ({ redis }) => redis,
    field: 'noop',
    keys: 'none',
  },
  {
    name: 'replay.redis',
    about: 'replay, Redis in front',
    port: ({ redis }) => redis,
    field: 'pay',
    keys: 'known',
  },
  {
    name: 'replay.postgres',
    about: 'replay, Postgres only',
    port: ({ postgres }) => postgres,
    field: 'pay',
    keys: 'known',
  },
];

const only = options.only?.split(',');
const isWanted = (name: string): boolean => only === undefined || only.includes(name);
const variants = all.filter(({ name }) => isWanted(name));

const KNOWN_KEYS = 64;

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
execFileSync(path('../node_modules/.bin/tsc'), ['-p', path('../tsconfig.build.json')], { stdio: 'inherit' });

// Durable as in production: with fsync off a COMMIT would cost nothing, and so would every commit too many.
const postgres = await startPostgres({ settings: { fsync: 'on', full_page_writes: 'on' } });
const redis = await startRedis();
const startServer = (joins: boolean): ChildProcess =>
  fork(new URL('./server.ts', import.meta.url), {
    env: {
      ...process.env,
      BENCH_DATABASE_URL: postgres.url,
      BENCH_REDIS_URL: redis.url,
      BENCH_JOINS: String(joins),
      NODE_ENV: 'production',
      TSX_TSCONFIG_PATH: path('./tsconfig.json'),
    },
    execArgv: ['--import', import.meta.resolve('tsx')],
  });
const server = startServer(false);
const [ports] = (await once(server, 'message')) as [Ports];
const joining = startServer(true);

try {
  const [joinedPorts] = (await once(joining, 'message')) as [Ports];
  const rates = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  let next = 0;
  const load = (variant: Variant, seconds: number): Promise<number> =>
    measure({
      port: variant.port(variant.joins === true ? joinedPorts : ports),
      connections: Number(options.connections),
      seconds,
      body: bodyOf(variant.field),
      key: () => {
        switch (variant.keys) {
          case 'none':
            return undefined;
          case 'new':
            return `new-${(next += 1)}`;
          case 'known':
            return `known-${(next += 1) % KNOWN_KEYS}`;
        }
      },
    });

  // Every known key is executed before any is replayed: two at once would be a 409.
  for (let key = 0; key < KNOWN_KEYS; key += 1) await send(ports.redis, bodyOf('pay'), `known-${key}`);
  for (const variant of variants) await load(variant, 1.5);
  for (let round = 0; round < Number(options.rounds); round += 1) {
    for (const variant of variants) {
      rates.get(variant.name)!.push(await load(variant, Number(options.seconds)));
    }
  }
  const env = { BENCH_DATABASE_URL: postgres.url, BENCH_REDIS_URL: redis.url, BENCH_ROUNDS: options.rounds };
  report(rates, isWanted('relay.redis') ? await reportRelay(env) : undefined);
} finally {
  server.kill();
  joining.kill();
  await redis.remove();
  await postgres.remove();
}

function bodyOf(field: string): string {
  return `{"query":"mutation { ${field}(amount: 100) ${field === 'noop' ? '' : '{ id amount }'} }"}`;
}

function report(rates: ReadonlyMap<string, readonly number[]>, relay: number | undefined): void {
  const base = (name: string): string => {
    if (name === 'handwritten' || name === 'lease') return 'handwritten';
    if (name === 'first.joined' || name === 'first.event') return 'first.postgres';
    return name.startsWith('replay') || name === 'noop' ? 'noop' : 'bare';
  };
  const median = (name: string): number => medianOf(rates.get(name)!);
  // Of what ran in the same round: a machine that is slower for a while is so for both.
  const ratio = (name: string): number => {
    const ofBase = rates.get(base(name));
    if (ofBase === undefined) return Number.NaN;
    const ratios = rates.get(name)!.map((rate, round) => rate / ofBase[round]!);
    return Math.round(medianOf(ratios) * 1000) / 1000;
  };
  const { connections, rounds, seconds } = options;
  console.log(
    `\n${connections} connections, ${rounds} rounds of ${seconds} s in turn, median; Node ${process.version}, ${cpus().length} cores for load, server, Postgres and Redis.\n`,
  );
  console.log('| request | requests/s | ratio | of |\n|---|---|---|---|');
  for (const { name, about } of variants) {
    console.log(
      `| ${about} | ${Math.round(median(name))} | ${Number.isNaN(ratio(name)) ? '–' : ratio(name).toFixed(2)} | ${base(name)} |`,
    );
  }
  if (options.json !== undefined) {
    const measured = variants.map(({ name }) => name).filter((name) => name !== base(name));
    const ratios: Record<string, number> = Object.fromEntries(measured.map((name) => [name, ratio(name)]));
    if (relay !== undefined) ratios['relay.redis'] = relay;
    writeFileSync(options.json, `${JSON.stringify({ ratios }, null, 2)}\n`);
  }
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
