/** Starts the provider as a process of this one's, so that the example runs straight after a clone. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RunningProvider {
  readonly url: string;
  stop(): void;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Resolves when it accepts requests. It ends with this process, however that ends. */
export async function startProvider(log: string): Promise<RunningProvider> {
  const child = fork('scripts/run.mjs', ['examples/payments/provider.ts'], {
    cwd: root,
    env: { ...process.env, PROVIDER_LOG: resolve(log), PROVIDER_PORT: '0' },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // In a group of its own: Ctrl-C reaches the server only, which lets payouts under way finish.
    detached: true,
  });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The provider ended with ${code} before it was ready`);
  });
  const [{ url }] = (await Promise.race([once(child, 'message'), ended])) as [{ url: string }];
  return { url, stop: () => child.disconnect() };
}
