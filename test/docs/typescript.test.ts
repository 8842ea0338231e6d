/** Every TypeScript block of the documents compiles, as strictly as the library itself. */

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { codeBlocks, root } from './documents.ts';
import { writeModules } from './modules.ts';

const modules = writeModules();
afterAll(() => modules.remove());

test('each block has a file name of its own', () => {
  const blocks = [...codeBlocks('ts'), ...codeBlocks('tsx')];
  const names = blocks.map(({ name }) => name);
  expect(names.length).toBeGreaterThan(10);
  for (const { name, language } of blocks) expect(name).toMatch(new RegExp(`^[\\w-]+\\.${language}$`));
  expect(new Set(names).size).toBe(names.length);
});

test('the compiler accepts all of them, and finds the mistake that this test adds', async () => {
  writeFileSync(
    join(modules.folder, 'mistaken.ts'),
    "import { createIdempotency } from 'graphql-idempotency';\ncreateIdempotency({ scop: () => 'me' });\n",
  );
  const found = await compile();
  const errors = found.split('\n').filter((line) => /error TS\d+/.test(line));
  expect(errors, found).toHaveLength(1);
  expect(errors[0]).toContain('mistaken.ts(2,');
});

/** Returns what the compiler has to say. */
async function compile(): Promise<string> {
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    include: ['*.ts', '*.tsx'],
  };
  const file = join(modules.folder, 'tsconfig.json');
  writeFileSync(file, JSON.stringify(config));
  const compiler = join(root, 'node_modules', '.bin', 'tsc');
  const run = promisify(execFile)(compiler, ['-p', file], { cwd: root });
  return run.then(
    () => '',
    (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
  );
}
