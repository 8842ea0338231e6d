/** A server as a child process: started until it says it is ready, and ended for certain. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { forgetProcess, watchProcess } from './janitor.ts';
import { deferred, within } from './signal.ts';

/** How to start a server, and how to tell that it is ready. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Matches the output that means "ready". */
  readonly ready: RegExp;
  /** The signal that ends it at once but in order. */
  readonly endWith: NodeJS.Signals;
  /** How long it may take to be ready. @defaultValue 30000 */
  readonly timeoutMs?: number;
}

/** A running server. */
export interface ServerProcess {
  readonly pid: number;
  /** The end of what it has printed. */
  output(): string;
  /** Sends a signal without waiting for what it does. */
  signal(signal: NodeJS.Signals): void;
  /** Sends a signal that ends it, and resolves when it has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
}

const maxOutput = 20_000;

/** Starts a server and resolves when it is ready; throws with its output when it ends or stays silent instead. */
export async function startServerProcess(server: ServerCommand): Promise<ServerProcess> {
  // In a group of its own: Ctrl-C is for the test run, which then ends its servers in order.
  const child = spawn(server.command, server.args, {
    ...server.user,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, LC_ALL: 'C', LC_MESSAGES: 'C' },
  });
  const exited = once(child, 'exit');
  exited.catch(() => undefined);
  const output = collectOutput(child, server.ready);
  if (child.pid !== undefined) watchProcess(child.pid, server.endWith);
  try {
    await within(Promise.race([output.ready, exited.then(() => Promise.reject(new Error('it ended')))]), {
      timeoutMs: server.timeoutMs ?? 30_000,
      what: 'the server',
    });
  } catch (cause) {
    child.kill('SIGKILL');
    throw new Error(`${server.command} did not start:\n${output.text()}`, { cause });
  }
  const pid = child.pid ?? Number.NaN;
  return {
    pid,
    output: output.text,
    signal: (signal) => void child.kill(signal),
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal);
        // A frozen process acts on its end when it is thawed.
        child.kill('SIGCONT');
        await within(exited, { timeoutMs: 20_000, what: `${server.command} ended by ${signal}` });
      }
      forgetProcess(pid);
    },
  };
}

function collectOutput(child: ChildProcess, ready: RegExp): { ready: Promise<void>; text: () => string } {
  const isReady = deferred();
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-maxOutput);
      if (ready.test(text)) isReady.resolve();
    });
  }
  return { ready: isReady.promise, text: () => text };
}
