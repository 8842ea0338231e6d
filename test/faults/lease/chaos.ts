/**
 * Kills processes while calls in lease mode stand at every point of an attempt, and counts broken promises:
 * `npm run chaos:lease -- [--kills 25] [--seed S] [--json FILE] [--only POINT,POINT] [--together 4] [--processes 12]`.
 * Exits with 1 where there are any.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startPostgres } from '../../support/postgres-server.ts';
import { startRedis } from '../../support/redis-server.ts';
import { Missed } from './bring-to-stand.ts';
import { killOnce, policies } from './kill-round.ts';
import type { Verdict } from './kill-round.ts';
import { points } from './points.ts';
import type { Point } from './points.ts';
import { startStage } from './stage.ts';
import { together } from './together.ts';
import type { Policy } from './transfer.ts';

const { values: options } = parseArgs({
  options: {
    kills: { type: 'string', default: '25' },
    seed: { type: 'string', default: String(Math.trunc(Math.random() * 1e9)) },
    json: { type: 'string' },
    only: { type: 'string' },
    together: { type: 'string', default: '4' },
    processes: { type: 'string', default: '12' },
  },
});
const kills = wholeNumber('kills', options.kills);
const seed = wholeNumber('seed', options.seed);
const atOnce = wholeNumber('together', options.together);
const processes = wholeNumber('processes', options.processes);

/** How often a kill is tried that comes too late. */
const MOST_TIMES = 4;

interface Total {
  readonly point: string;
  readonly policy: Policy;
  kills: number;
  runs: number;
  effects: number;
  violations: number;
}

const chosen = points.filter(({ name }) => options.only?.split(',').includes(name) ?? true);
const totals = new Map<string, Total>(
  chosen.flatMap(({ name: point }) =>
    policies.map((policy) => [
      `${point} ${policy}`,
      { point, policy, kills: 0, runs: 0, effects: 0, violations: 0 },
    ]),
  ),
);
const broken: string[] = [];

const startedMs = performance.now();
const random = randomFrom(seed);
const postgres = await startPostgres();
const redis = await startRedis();
const stage = await startStage({
  databaseUrl: postgres.url,
  redisUrl: redis.url,
  redisPrefix: 'chaos',
  migrate: true,
  // Longer than calls may take to come to their points: a claim that stands is given up when it would be over.
  leaseMs: 12_000,
  leasesEnd: 'in-time',
});
let processesKilled = 0;
/** Kills that came too late, because the machine was too busy; they are repeated. */
let missed = 0;
try {
  const inTurn = together(processes);
  const rounds = Array.from({ length: kills }, (_, round) => roundOf(round));
  await Promise.all(rounds.flat().map((kill) => inTurn(kill)));
} finally {
  await stage.close();
  await postgres.remove();
  await redis.remove();
}
report();
process.exitCode = broken.length > 0 ? 1 : 0;

/** One kill for every point, some of them with others of the seed's choice in one process. */
function roundOf(round: number): (() => Promise<void>)[] {
  const shuffled = shuffle(chosen);
  const groups: Point[][] = [];
  for (let at = 0; at < shuffled.length; at += atOnce) groups.push(shuffled.slice(at, at + atOnce));
  return groups.map((group) => () => kill(group, round, 1));
}

async function kill(group: readonly Point[], round: number, time: number): Promise<void> {
  try {
    const verdicts = await killOnce(stage, {
      points: group,
      keys: { RERUN: 1, REFUSE: 1 },
      // What is done to a key depends on its number.
      firstIndex: round,
      name: `${seed}-${time}-`,
    });
    for (const verdict of verdicts) add(verdict);
    processesKilled += 1;
    if (processesKilled % 25 === 0) console.error(`${processesKilled} processes killed`);
  } catch (error) {
    if (error instanceof Missed && time < MOST_TIMES) {
      missed += 1;
      return kill(group, round, time + 1);
    }
    const names = group.map(({ name }) => name).join(', ');
    broken.push(`${names}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function add({ point, policy, killed, runs, effects, violations }: Verdict): void {
  const total = totals.get(`${point} ${policy}`)!;
  total.kills += killed;
  total.runs += runs;
  total.effects += effects;
  total.violations += violations.length;
  broken.push(...violations);
}

function report(): void {
  const rows = [...totals.values()];
  const sum = (column: 'kills' | 'runs' | 'effects'): number =>
    rows.reduce((total, row) => total + row[column], 0);
  const columns = ['point', 'policy', 'kills', 'runs', 'effects', 'violations'] as const;
  const line = (cells: readonly unknown[]): string =>
    cells.map((cell, at) => (at < 2 ? String(cell).padEnd(26) : String(cell).padStart(11))).join('');
  console.log(line(columns));
  for (const row of rows) console.log(line(columns.map((column) => row[column])));
  console.log(line(['all', '', sum('kills'), sum('runs'), sum('effects'), broken.length]));
  for (const violation of broken) console.error(violation);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(`seed ${seed}: ${processesKilled} processes killed in ${seconds} s, ${missed} kills repeated`);
  if (options.json === undefined) return;
  const facts = {
    seed,
    kills: sum('kills'),
    processes: processesKilled,
    runs: sum('runs'),
    violations: broken.length,
    points: rows,
  };
  writeFileSync(options.json, `${JSON.stringify(facts, undefined, 2)}\n`);
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= (name === 'seed' ? 0 : 1)) return number;
  console.error(`--${name} must be a whole number`);
  process.exit(2);
}

/** A generator of numbers from 0 to 1 that gives the same ones for the same seed. */
function randomFrom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    // The constants of Numerical Recipes.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function shuffle<T>(items: readonly T[]): T[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
  }
  return shuffled;
}
