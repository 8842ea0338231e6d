import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
const config = fileURLToPath(new URL('./fixtures/closing-line/vitest.config.ts', import.meta.url));

describe('the last line of a test run', () => {
  it('counts tests, and files and hooks that threw', () => {
    expect(run(['mixed', 'broken'])).toEqual({ status: 1, line: '2 passed, 3 failed, 3 skipped' });
  });

  it('is a success only when all passed', () => {
    expect(run(['good'])).toEqual({ status: 0, line: '1 passed, 0 failed, 0 skipped' });
  });

  it('calls an error that no test caught a failure', () => {
    expect(run(['unhandled'])).toEqual({ status: 1, line: '1 passed, 1 failed, 0 skipped' });
  });

  it('calls a run without tests a failure', () => {
    expect(run(['nothing-is-called-this'])).toEqual({ status: 1, line: '0 passed, 1 failed, 0 skipped' });
  });

  it('calls a server that could not be had a failure', () => {
    expect(run(['good'], { BREAK_SETUP: 'yes' })).toEqual({
      status: 1,
      line: '0 passed, 1 failed, 0 skipped',
    });
  });
});

function run(
  files: string[],
  env: Record<string, string> = {},
): { status: number | null; line: string | undefined } {
  const { status, stdout } = spawnSync(process.execPath, [vitest, 'run', '--config', config, ...files], {
    encoding: 'utf8',
    env: {
      ...process.env,
      ...env,
      VITEST: undefined,
      VITEST_WORKER_ID: undefined,
      VITEST_POOL_ID: undefined,
    },
  });
  return { status, line: stdout.trimEnd().split('\n').at(-1) };
}
