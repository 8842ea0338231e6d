// @ts-check
/**
 * Breaks the library on purpose, one promise at a time, in a copy of the repository, and demands that the test of
 * that promise turns red: `mutation.mjs [PART OF A NAME]`. Ends with 1 when one survives.
 */

import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureRedis } from './install-program.mjs';
import { ensureInstalled } from './install.mjs';
import { applyEdit, mutations } from './mutations.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const copied = [
  'src',
  'schema',
  'test',
  'scripts',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vitest.config.ts',
];
const deadlineMs = 120_000;

/** @typedef {{ passed: string[], failed: string[], output: string }} Run */

const wanted = mutations.filter(({ name }) => name.includes(process.argv[2] ?? ''));
if (wanted.length === 0) throw new Error(`No mutation has ${String(process.argv[2])} in its name.`);

await ensureInstalled();
await ensureRedis();
const folder = mkdtempSync(join(tmpdir(), 'mutation-'));
/** @type {import('node:child_process').ChildProcess | undefined} */
let running;
process.once('exit', () => {
  running?.kill();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM']))
  process.once(signal, () => process.exit(1));
copyRepository();

let survivors = 0;
/** @type {Map<string, Run>} */
const unbroken = new Map();
for (const test of new Set(wanted.map((mutation) => mutation.test))) {
  const run = await runTests(test);
  unbroken.set(test, run);
  if (run.failed.length > 0 || run.passed.length === 0) {
    console.error(run.output);
    throw new Error(`${test} is red before anything was broken: ${run.failed.join('; ')}`);
  }
}
for (const mutation of wanted) {
  const started = performance.now();
  const verdict = await judge(mutation);
  if (!verdict.ok) survivors += 1;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${verdict.ok ? 'ok  ' : 'BAD '} ${mutation.name.padEnd(76)} ${verdict.what} (${seconds} s)`);
}
console.log(
  survivors === 0
    ? `\n${wanted.length} of ${wanted.length} ways to break it turned out as they must.`
    : `\n${survivors} of ${wanted.length} ways to break it went unnoticed.`,
);
process.exit(survivors === 0 ? 0 : 1);

/**
 * @param {import('./mutations.mjs').Mutation} mutation
 * @returns {Promise<{ ok: boolean, what: string }>}
 */
async function judge({ edits, test, red, green }) {
  /** @type {Map<string, string>} */
  const originals = new Map(edits.map(({ file }) => [file, readFileSync(join(folder, file), 'utf8')]));
  const broken = new Map(originals);
  for (const edit of edits) broken.set(edit.file, applyEdit(edit, broken.get(edit.file) ?? ''));
  for (const [file, text] of broken) writeFileSync(join(folder, file), text);
  try {
    const { passed, failed, output } = await runTests(test);
    const total = unbroken.get(test)?.passed.length ?? 0;
    // Code that cannot even run turns everything red, and shows nothing.
    if (passed.length === 0 || passed.length + failed.length !== total) {
      return { ok: false, what: `it does not run:\n${output}` };
    }
    const counted = `${failed.length} of ${total} tests red`;
    if (red !== undefined && !failed.includes(red))
      return { ok: false, what: `"${red}" stays green; ${counted}` };
    if (green !== undefined && !passed.includes(green))
      return { ok: false, what: `"${green}" turns red; ${counted}` };
    return { ok: true, what: red === undefined ? 'green: another layer holds' : `red: ${counted}` };
  } finally {
    for (const [file, text] of originals) writeFileSync(join(folder, file), text);
  }
}

function copyRepository() {
  for (const name of copied) cpSync(join(root, name), join(folder, name), { recursive: true });
  // A folder of its own, so that nothing is written into the packages' folder; what is in it is shared.
  const packages = join(folder, 'node_modules');
  mkdirSync(packages);
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(packages, name));
  }
}

/**
 * Runs a test file in the copy.
 * @param {string} test
 * @returns {Promise<Run>}
 */
async function runTests(test) {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const vitest = join(folder, 'node_modules', 'vitest', 'vitest.mjs');
  const args = [vitest, 'run', test, '--reporter=json', `--outputFile=${report}`, '--testTimeout=20000'];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  running = child;
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  /** @type {{ title: string, status: string }[]} */
  let results = [];
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    results = testResults.flatMap(
      (/** @type {{ assertionResults: object[] }} */ file) => file.assertionResults,
    );
  } catch {
    // No report: nothing has run, and the output says why.
  }
  const titled = (/** @type {boolean} */ passed) =>
    results.filter(({ status }) => (status === 'passed') === passed).map(({ title }) => title);
  return { passed: titled(true), failed: titled(false), output };
}
