/** For use inside a child process: named places where it dies, or waits to be told to go on. */

import { once } from 'node:events';

/** What the parent gets when a child waits at a point. */
export interface AtFaultPoint {
  readonly at: string;
}

/**
 * Marks a place in a child's code. Where `KILL_AT` names it, the process ends there as by kill -9, and nothing
 * after it runs. Where `PAUSE_AT` names it, the process sends `{ at: name }` and waits for any message.
 * Otherwise it does nothing. Several names are separated by commas.
 */
export async function faultPoint(name: string): Promise<void> {
  if (isNamed('KILL_AT', name)) dieHere();
  if (!isNamed('PAUSE_AT', name)) return;
  const told = once(process, 'message');
  process.send?.({ at: name } satisfies AtFaultPoint);
  await told;
}

/** The same for places that cannot wait, such as a subscriber of a diagnostics channel: only `KILL_AT` counts. */
export function faultPointNow(name: string): void {
  if (isNamed('KILL_AT', name)) dieHere();
}

function dieHere(): void {
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way but may not have arrived; nothing else may run, so this thread never returns.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function isNamed(variable: string, name: string): boolean {
  return (process.env[variable] ?? '').split(',').includes(name);
}
