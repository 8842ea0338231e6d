/** The demo's own processes: the payments server, the bookkeeper and, where this machine has one, Redis. */

import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface Running {
  readonly url: string;
  /** As by kill -9; resolves when the process is gone. */
  kill(): Promise<void>;
}

export interface RunningServer extends Running {
  /** Resolves when a charge or a payout has stopped in the middle. */
  paused(): Promise<void>;
  goOn(): void;
}

const root = fileURLToPath(new URL('../../..', import.meta.url));
const startTimeoutMs = 120_000;
const children = new Set<ChildProcess>();
let serverLog = '';
let isOver = false;

/** Starts a file of this example as `npm start` starts the server, on a port that is free. */
export async function startServer(file: string, env: NodeJS.ProcessEnv): Promise<RunningServer> {
  const child = spawnOwn(process.execPath, ['scripts/run.mjs', `examples/payments/${file}`], {
    cwd: root,
    env: { ...process.env, ...env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (serverLog += text));
  const ready = await lineOf(child, child.stdout!, /^ready (\S+)$/);
  return {
    url: ready[1]!,
    paused: async () => void (await once(child, 'message')),
    goOn: () => void (child.connected && child.send('go on')),
    kill: () => kill(child),
  };
}

/** What the servers have logged, for when something goes wrong. */
export function logOfServers(): string {
  return serverLog;
}

/** Starts a Redis that keeps nothing, unless its settings say so; `undefined` where `redis-server` is not on the PATH. */
export async function startRedis(
  settings: Readonly<Record<string, string>> = {},
): Promise<Running | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no', ...settings };
    const child = spawnOwn(
      'redis-server',
      Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    try {
      await lineOf(child, child.stdout!, /Ready to accept connections/);
      return { url: `redis://127.0.0.1:${port}`, kill: () => kill(child) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      await kill(child);
      // Somebody else may have taken the port in the meantime.
      if (attempt === 3) throw error;
    }
  }
}

/** Ends all of them, those too that are still starting. Nothing is started after. */
export async function killAll(): Promise<void> {
  isOver = true;
  await Promise.all([...children].map(kill));
}

/** What is killed may be started again at that moment: nobody would end what starts when all is ended. */
function spawnOwn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  if (isOver) throw new Error('The demo is over');
  const child = spawn(command, args, options);
  children.add(child);
  return child;
}

/** Waits for a line of a starting process, and goes on reading, so that its output never blocks it. */
async function lineOf(child: ChildProcess, output: Readable, expected: RegExp): Promise<RegExpExecArray> {
  const signal = AbortSignal.timeout(startTimeoutMs);
  const matched = new Promise<RegExpExecArray>((resolve) => {
    createInterface(output).on('line', (line) => {
      const match = expected.exec(line);
      if (match !== null) resolve(match);
    });
  });
  // Rejects if the process cannot be started, or takes too long.
  const ended = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`${child.spawnfile} ended with ${code} before it was ready`);
  });
  return Promise.race([matched, ended]);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
