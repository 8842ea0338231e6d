/** Prints what the guard adds to the start of a server with a large schema: every mutation of GitHub's API. */

import { applyGuard } from '../src/directive/apply-guard.ts';
import { buildGithubSchema, readGithubDocument } from '../test/directive/github-schema.ts';

interface Round {
  readonly mutations: number;
  readonly buildMs: number;
  readonly applyMs: number;
}

const ROUNDS = 7;

const document = readGithubDocument();
const rounds = Array.from({ length: ROUNDS }, measure);

console.log(
  [
    `GitHub GraphQL schema, every mutation annotated; median of ${ROUNDS} fresh builds`,
    row('guarded mutations', String(rounds[0]?.mutations)),
    row('build the schema', milliseconds(rounds.map((round) => round.buildMs))),
    row('apply the guard', milliseconds(rounds.map((round) => round.applyMs))),
  ].join('\n'),
);

function measure(): Round {
  const start = performance.now();
  const schema = buildGithubSchema(document);
  const built = performance.now();
  const rules = applyGuard(schema, {
    owner: schema,
    describe: true,
    minTtl: { transactionMs: 30_000, leaseMs: 30_000 },
    wrap:
      (_field, resolve) =>
      (...args) =>
        resolve(...args),
  });
  const applied = performance.now();
  return { mutations: rules.size, buildMs: built - start, applyMs: applied - built };
}

function milliseconds(values: readonly number[]): string {
  const median = values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
  return `${median.toFixed(1)} ms`;
}

function row(name: string, value: string): string {
  return `  ${name.padEnd(20)}${value.padStart(12)}`;
}
