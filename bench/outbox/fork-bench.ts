/** Starts a program of the bench that uses the package as it is built, in a process of its own. */

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The program speaks to this process by messages, and ends with it. */
export function forkBench(name: string, env: Readonly<Record<string, string>>): ChildProcess {
  return fork(new URL(name, import.meta.url), {
    env: {
      ...process.env,
      ...env,
      NODE_ENV: 'production',
      TSX_TSCONFIG_PATH: fileURLToPath(new URL('../tsconfig.json', import.meta.url)),
    },
    execArgv: ['--import', import.meta.resolve('tsx')],
  });
}
