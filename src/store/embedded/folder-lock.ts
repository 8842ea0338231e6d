/** Lets one process at a time have a folder, and the next one take it from a process that died. */

import { mkdir, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ConfigurationError } from '../../errors/configuration-error.ts';
import { fateOf, markThisProcess, markToName, nameToMark } from './process-mark.ts';
import type { ProcessMark } from './process-mark.ts';

export interface FolderLock {
  /** The folder without symbolic links. */
  readonly folder: string;
  /** Unlocks the folder. Safe to call twice. */
  release(): Promise<void>;
}

/** A process that has, or wants, the folder. */
interface Rival {
  readonly mark: ProcessMark;
  readonly name: string;
  readonly holds: boolean;
}

/** How long a process that neither gets the folder nor dies, a stopped one, keeps others waiting. */
const patienceMs = 5000;
const pollMs = 20;

const claimSuffix = '.claim';
const heldSuffix = '.held';

/**
 * Locks a folder, which is created where it is missing, for this process.
 *
 * Every process that wants the folder puts a file of its own, its claim, into `lock/`, and has the folder
 * when a look around *after that* finds no other live process's file. Interleavings:
 *
 * - Two at the same instant: each put its claim down before it looked, so the later of the two claims is
 *   followed by a look that sees the earlier one. Both may yield, never both go on. Of claims that see each
 *   other all but the first by name step back, so one gets through.
 * - One looks while another steps back: it sees a claim that is gone a moment later, and looks again.
 * - Two clear away the same dead holder: a name is never used twice, so removing a dead one's file removes
 *   nothing else, and it is harmless twice. Removing decides nothing; the look around does.
 * - Killed at any point: what is left are files of a dead process.
 *
 * @throws ConfigurationError naming who has the folder.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const { real, locks } = await prepare(folder);
  const me = await markThisProcess();
  const name = markToName(me);
  const claim = join(locks, name + claimSuffix);
  const held = join(locks, name + heldSuffix);
  const withdraw = async (): Promise<void> => {
    await rm(held, { force: true });
    await rm(claim, { force: true });
  };
  try {
    await contend({
      survey: () => survey(locks, me),
      name,
      register: () => writeFile(claim, '', { flag: 'wx' }),
      withdraw,
      refuse: (rival) => refusal(real, locks, rival, me),
    });
    // Decides nothing: tells those who wait that it is decided.
    await writeFile(held, '');
  } catch (error) {
    await withdraw();
    throw error instanceof ConfigurationError ? error : unusable(real, error);
  }
  return { folder: real, release: withdraw };
}

interface Contest {
  readonly name: string;
  readonly survey: () => Promise<Rival[]>;
  readonly register: () => Promise<void>;
  readonly withdraw: () => Promise<void>;
  readonly refuse: (rival: Rival) => Promise<ConfigurationError>;
}

/** Returns when the claim stands alone. */
async function contend({ name, survey, register, withdraw, refuse }: Contest): Promise<void> {
  const deadline = performance.now() + patienceMs;
  let registered = false;
  for (;;) {
    const rivals = await survey();
    if (rivals.length === 0) {
      if (registered) return;
      await register();
      registered = true;
      continue;
    }
    const holder = rivals.find((rival) => rival.holds);
    if (holder !== undefined || performance.now() > deadline) throw await refuse(holder ?? rivals[0]!);
    if (registered && rivals.some((rival) => rival.name < name)) {
      await withdraw();
      registered = false;
    }
    await pause(pollMs * (0.5 + Math.random()));
  }
}

/** Lists the others, and clears away what dead ones left. */
async function survey(locks: string, me: ProcessMark): Promise<Rival[]> {
  const files = new Set(await readdir(locks));
  const names = new Set([...files].map((file) => file.replace(/\.(?:claim|held)$/, '')));
  const rivals: Rival[] = [];
  for (const name of names) {
    const mark = nameToMark(name);
    if (mark === undefined || mark.nonce === me.nonce) continue;
    const fate = await fateOf(mark, me);
    if (fate === 'dead') {
      await rm(join(locks, name + heldSuffix), { force: true });
      await rm(join(locks, name + claimSuffix), { force: true });
    } else {
      // One that can't be seen may never move again: waiting for it is of no use.
      rivals.push({ mark, name, holds: fate === 'hidden' || files.has(name + heldSuffix) });
    }
  }
  return rivals;
}

async function prepare(folder: string): Promise<{ real: string; locks: string }> {
  try {
    // Results of users are in it: nobody else's account is to read them.
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const real = await realpath(folder);
    const locks = join(real, 'lock');
    await mkdir(locks, { recursive: true, mode: 0o700 });
    return { real, locks };
  } catch (error) {
    throw unusable(folder, error);
  }
}

async function refusal(
  folder: string,
  locks: string,
  rival: Rival,
  me: ProcessMark,
): Promise<ConfigurationError> {
  const { pid, host } = rival.mark;
  const others = 'or set DATABASE_URL to share one Postgres server.';
  const taken = `The embedded database in ${folder} is in use by`;
  if ((await fateOf(rival.mark, me)) === 'hidden') {
    return new ConfigurationError(
      `${taken} process ${pid} on ${host}, another machine or container. If it is gone, delete the files ` +
        `${join(locks, rival.name)}.*; otherwise give this process a folder of its own (embeddedFolder), ${others}`,
    );
  }
  if (pid === me.pid) {
    return new ConfigurationError(
      `${taken} this process (${pid}) already. Use one instance, close the first one before, ` +
        `give this one a folder of its own (embeddedFolder), ${others}`,
    );
  }
  return new ConfigurationError(
    `${taken} process ${pid}. Stop that process, give this one a folder of its own (embeddedFolder), ${others}`,
  );
}

function unusable(folder: string, cause: unknown): ConfigurationError {
  const { code } = cause as NodeJS.ErrnoException;
  return new ConfigurationError(
    `The folder ${folder} cannot be used for the embedded database (${code ?? 'unknown error'}). ` +
      'Make it writable, choose another one (embeddedFolder), or set DATABASE_URL to use a Postgres server.',
    { cause },
  );
}
