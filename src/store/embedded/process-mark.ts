/** Which process it is, so that another one can tell later whether it still lives. */

import { randomUUID } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

/** What cannot be known on a platform is empty. */
export interface ProcessMark {
  readonly pid: number;
  /** Ticks from boot to the process's start: tells it from a later one with the same pid. */
  readonly startTime: string;
  /** Changes with every boot of the machine. */
  readonly boot: string;
  /** Pids mean something only within one of these; a container has its own. */
  readonly pidNamespace: string;
  readonly host: string;
  /** Unique, so that what is written in this mark's name never means anybody else. */
  readonly nonce: string;
}

/** `hidden`: it ran on another machine or in another container, whose processes can't be seen from here. */
export type Fate = 'alive' | 'dead' | 'hidden';

export async function markThisProcess(): Promise<ProcessMark> {
  const [status, boot, pidNamespace] = await Promise.all([
    readStatus(process.pid),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ]);
  return {
    pid: process.pid,
    startTime: status?.startTime ?? '',
    boot: boot.trim(),
    pidNamespace,
    host: hostname(),
    nonce: randomUUID(),
  };
}

/** The mark as a file name. */
export function markToName(mark: ProcessMark): string {
  const parts = [String(mark.pid), mark.startTime, mark.boot, mark.pidNamespace, mark.host, mark.nonce];
  return parts.map((part) => encodeURIComponent(part)).join(',');
}

export function nameToMark(name: string): ProcessMark | undefined {
  const match = /^(\d+),([^,]*),([^,]*),([^,]*),([^,]*),([^,]+)$/.exec(name);
  if (match === null) return undefined;
  const [pid, startTime, boot, pidNamespace, host, nonce] = match.slice(1).map(decodeURIComponent);
  return {
    pid: Number(pid),
    startTime: startTime!,
    boot: boot!,
    pidNamespace: pidNamespace!,
    host: host!,
    nonce: nonce!,
  };
}

/** Says what became of a process, seen from the one that asks. In doubt it is alive. */
export async function fateOf(mark: ProcessMark, here: ProcessMark): Promise<Fate> {
  const sameHost = mark.host === here.host;
  const bootsKnown = mark.boot !== '' && here.boot !== '';
  // The same machine has been started again since; of another machine nothing is known.
  if (bootsKnown && mark.boot !== here.boot) return sameHost ? 'dead' : 'hidden';
  if (!bootsKnown && !sameHost) return 'hidden';
  if (mark.pidNamespace !== here.pidNamespace) return 'hidden';
  if (!canBeSignalled(mark.pid)) return 'dead';
  if (mark.startTime === '') return 'alive';
  const status = await readStatus(mark.pid);
  if (status === undefined) return canBeSignalled(mark.pid) ? 'alive' : 'dead';
  // A killed process whose parent hasn't asked for its exit code can be signalled, but runs no more.
  const ended = status.state === 'Z' || status.state === 'X';
  return ended || status.startTime !== mark.startTime ? 'dead' : 'alive';
}

function canBeSignalled(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and another user's.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

async function readStatus(pid: number): Promise<{ state: string; startTime: string } | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (line === undefined) return undefined;
  // The second field is the program's name in parentheses and may hold spaces and parentheses itself.
  const [state, ...afterState] = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const startTime = afterState[18];
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}
