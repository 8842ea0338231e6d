/**
 * Kills and freezes everything between a commit and a ledger, and counts broken promises:
 * `npm run chaos:outbox -- [--broker redis] [--seconds 600] [--mutations 50000] [--seed S] [--json FILE]`.
 * Exits with 1 where there are any.
 */

import { writeFileSync } from 'node:fs';
import { readOptions } from './read-options.ts';
import { runChaos } from './run-chaos.ts';

const { json, ...options } = readOptions(process.argv.slice(2));
const { broker, seed, seconds, mutations } = options;
console.error(`broker ${broker}, seed ${seed}, at most ${mutations} calls in ${seconds} s`);

const { verdict, faults, operations, ...result } = await runChaos({
  ...options,
  tell: (line) => console.error(line),
});
for (const example of verdict.examples) console.error(example);

const round = (number: number): number => Math.round(number * 10) / 10;
const facts = {
  seed,
  seconds,
  operations,
  faults: Object.values(faults).reduce((sum: number, one: number) => sum + one, 0),
  violations: verdict.total,
  broker,
  ...result,
  callSeconds: round(result.callSeconds),
  drainSeconds: round(result.drainSeconds),
  faultsByKind: faults,
  violationsByKind: verdict.violations,
  examples: verdict.examples,
};
console.log(JSON.stringify(facts, undefined, 2));
if (json !== undefined) writeFileSync(json, `${JSON.stringify(facts, undefined, 2)}\n`);
process.exitCode = verdict.total > 0 ? 1 : 0;
