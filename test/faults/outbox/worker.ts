/** A process that a run kills, freezes and starts again; needs no test runner. */

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { forgetProcess, watchProcess } from '../../support/janitor.ts';
import { deferred, within } from '../../support/signal.ts';
import type { ProcessReport, ProcessSettings } from './settings.ts';

export interface WorkerOptions {
  readonly file: string;
  /** What it is told, each time that it starts. */
  readonly settings: () => ProcessSettings;
  readonly onReport: (report: ProcessReport) => void;
  /** Told that it has ended by itself, and was started again; or that it has not ended when it was told to. */
  readonly onComplaint: (complaint: string) => void;
}

export interface Worker {
  /** Resolves when it is at work for the first time. */
  readonly ready: Promise<void>;
  /** Ends it by kill -9, and starts it again. */
  kill(): Promise<void>;
  /** Stops it for so long, unless it is killed in the meantime. */
  freeze(ms: number): Promise<void>;
  /** Has it end in order. */
  end(): Promise<void>;
  /** Starts it where it has ended. */
  start(): void;
}

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  /** Whether it may end now. */
  mayEnd: boolean;
}

const START_MS = 60_000;
const END_MS = 60_000;
const MAX_ERRORS = 4000;

/** Starts it at once. */
export function startWorker({ file, settings, onReport, onComplaint }: WorkerOptions): Worker {
  const ready = deferred();
  let running: Running | undefined = launch();

  function launch(): Running {
    const child = fork(file, {
      env: { ...process.env, NODE_ENV: 'production' },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const { pid } = child;
    if (pid === undefined) throw new Error(`${file} could not be started`);
    watchProcess(pid);
    let errors = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-MAX_ERRORS);
    });
    child.on('error', () => {});
    child.on('message', (report: ProcessReport) => {
      if (report.ready === true) ready.resolve();
      onReport(report);
    });
    const one: Running = {
      child,
      mayEnd: false,
      // Later than its exit: by then all that it has said was heard.
      exited: once(child, 'close').then(([code, signal]: unknown[]) => {
        forgetProcess(pid);
        if (one.mayEnd) return;
        onComplaint(`${file} ended by itself (${String(signal ?? code)}): ${errors}`);
        running = launch();
      }),
    };
    child.send(settings(), () => {});
    return one;
  }

  return {
    ready: within(ready.promise, { timeoutMs: START_MS, what: `the start of ${file}` }),
    async kill() {
      if (running !== undefined) {
        running.mayEnd = true;
        running.child.kill('SIGKILL');
        await running.exited;
      }
      running = launch();
    },
    async freeze(ms) {
      const { child } = running ?? {};
      if (child === undefined) return;
      child.kill('SIGSTOP');
      await pause(ms);
      child.kill('SIGCONT');
    },
    async end() {
      if (running === undefined) return;
      running.mayEnd = true;
      const { child, exited } = running;
      child.send('end', () => {});
      const timer = setTimeout(() => {
        onComplaint(`${file} did not end within ${END_MS} ms`);
        child.kill('SIGKILL');
      }, END_MS);
      await exited;
      clearTimeout(timer);
      running = undefined;
    },
    start() {
      running ??= launch();
    },
  };
}
