import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const script = path('../../scripts/run.mjs');

describe('the script that runs a TypeScript file', () => {
  it('runs it from any folder, with its arguments and the package by its name', async () => {
    const { output } = await run([path('./fixtures/named-import.ts'), 'with', 'arguments']);
    expect(output).toBe('imported function with arguments\n');
  });

  it('ends with its exit code', async () => {
    expect((await run([path('./fixtures/exits-with-7.ts')])).code).toBe(7);
  });

  it('is the process that the file runs in, so that a kill reaches it', async () => {
    const { pid, output } = await run([path('./fixtures/exits-with-7.ts')]);
    expect(output).toBe(`${pid}\n`);
  });

  it('says how it is used when no file is named', async () => {
    expect((await run([])).code).toBe(2);
  });
});

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}

async function run(args: string[]): Promise<{ code: unknown; output: string; pid: number | undefined }> {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: tmpdir(),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  const [code] = (await once(child, 'close')) as [unknown];
  return { code, output, pid: child.pid };
}
