/** TypeScript files in processes of their own, which tests watch, talk to and kill. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach } from 'vitest';
import { forgetProcess, watchProcess } from './janitor.ts';
import { type Deferred, deferred, type Patience, within } from './signal.ts';

/** What to run. */
export interface ChildOptions {
  /** The TypeScript file, absolute or relative to the repository's root. */
  readonly file: string | URL;
  readonly args?: readonly string[];
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** When it is killed at the latest. Starting takes a second: several tests may share one. @defaultValue 'test' */
  readonly until?: 'test' | 'file';
}

/** How a child ended. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process under test. */
export interface Child {
  readonly pid: number;
  readonly exited: Promise<ChildExit>;
  /** Everything it has printed. */
  output(): string;
  /** Waits for a line that it prints, 25 seconds by default; each line is handed out once. */
  line(expected: RegExp, patience?: Patience): Promise<string>;
  /** Waits for a message that it sends with `process.send`, as long; each message is handed out once. */
  message<T>(expected: (message: T) => boolean, patience?: Patience): Promise<T>;
  /** Sends a message, which it gets by `process.on('message')`. */
  send(message: unknown): void;
  /** Sends a signal and resolves when it has ended. To freeze it, use `process.kill(child.pid, 'SIGSTOP')`. */
  kill(signal?: NodeJS.Signals): Promise<ChildExit>;
}

/** How long is waited for it at most: on a busy machine a process takes its time to start. */
const timeoutMs = 25_000;

const root = fileURLToPath(new URL('../..', import.meta.url));
const running = { test: new Set<Child>(), file: new Set<Child>() };

afterEach(() => killAll('test'));
afterAll(() => killAll('file'));

/** Starts a TypeScript file; returns at once, so wait for a line or a message that says it is ready. */
export function startChild({ file, args = [], env = {}, until = 'test' }: ChildOptions): Child {
  const process_ = fork(file, [...args], {
    cwd: root,
    // The package's own name leads to its source by way of this file, wherever the child itself lies.
    env: {
      ...process.env,
      TSX_TSCONFIG_PATH: fileURLToPath(new URL('../../tsconfig.json', import.meta.url)),
      ...env,
    },
    execArgv: ['--import', import.meta.resolve('tsx')],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
  });
  const pid = process_.pid;
  if (pid === undefined) throw new Error(`${String(file)} could not be started`);
  watchProcess(pid);

  const lines = new Inbox<string>();
  const messages = new Inbox<unknown>();
  let output = '';
  for (const stream of [process_.stdout, process_.stderr]) {
    let unfinished = '';
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      const parts = (unfinished + chunk).split('\n');
      unfinished = parts.pop() ?? '';
      for (const line of parts) lines.put(line);
    });
  }
  process_.on('message', (message) => messages.put(message));
  process_.on('error', () => undefined);

  const closed = once(process_, 'close');
  const exited = once(process_, 'exit').then(async (result): Promise<ChildExit> => {
    const [code, signal] = result as [number | null, NodeJS.Signals | null];
    // Only `close` says that all it printed has been read; it never comes while a process of the child's own
    // lives on with the same output.
    await within(closed, { timeoutMs: 1_000 }).catch(() => undefined);
    forgetProcess(pid);
    const how = `${String(file)} ended (${signal ?? `exit code ${code}`}) and will say no more:\n${output}`;
    lines.close(how);
    messages.close(how);
    running[until].delete(child);
    return { code, signal };
  });
  const child: Child = {
    pid,
    exited,
    output: () => output,
    line: (expected, patience) =>
      within(
        lines.take((line) => expected.test(line)),
        { timeoutMs, what: `${expected} from ${String(file)}`, ...patience },
      ),
    message: async <T>(expected: (message: T) => boolean, patience?: Patience) =>
      (await within(
        messages.take((message) => expected(message as T)),
        { timeoutMs, what: `the message from ${String(file)}`, ...patience },
      )) as T,
    send: (message) => {
      if (process_.connected) process_.send(message as object);
    },
    kill: (signal = 'SIGKILL') => {
      process_.kill(signal);
      return within(exited, { timeoutMs, what: `the end of ${String(file)} by ${signal}` });
    },
  };
  running[until].add(child);
  return child;
}

async function killAll(until: keyof typeof running): Promise<void> {
  await Promise.all([...running[until]].map((child) => child.kill()));
}

/** Things that arrive, and those who wait for one of them. */
class Inbox<T> {
  #unclaimed: T[] = [];
  readonly #waiting = new Set<{ readonly expected: (item: T) => boolean; readonly arrived: Deferred<T> }>();
  #closed: string | undefined;

  put(item: T): void {
    for (const waiter of this.#waiting) {
      if (!waiter.expected(item)) continue;
      this.#waiting.delete(waiter);
      waiter.arrived.resolve(item);
      return;
    }
    this.#unclaimed.push(item);
  }

  async take(expected: (item: T) => boolean): Promise<T> {
    const at = this.#unclaimed.findIndex(expected);
    if (at !== -1) return this.#unclaimed.splice(at, 1)[0] as T;
    if (this.#closed !== undefined) throw new Error(this.#closed);
    const arrived = deferred<T>();
    this.#waiting.add({ expected, arrived });
    return arrived.promise;
  }

  close(why: string): void {
    this.#closed = why;
    for (const { arrived } of this.#waiting) arrived.reject(new Error(why));
    this.#waiting.clear();
  }
}
