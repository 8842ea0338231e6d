/**
 * The database of those who have none: PGlite in a folder, behind the same `pg` pool as any Postgres.
 * Nothing outside this folder knows that it isn't a server.
 */

import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PoolConfig } from 'pg';
import { ConfigurationError } from '../../errors/configuration-error.ts';
import { lockFolder } from './folder-lock.ts';
import type { FolderLock } from './folder-lock.ts';
import { loadPglite } from './pglite-engine.ts';
import type { PgliteEngine, StartPglite } from './pglite-engine.ts';
import { PgliteStream } from './pglite-stream.ts';
import { SharedSession } from './shared-session.ts';

export interface EmbeddedPostgres {
  /**
   * For one pool. There is one session, so a connection of a second pool waits, up to that pool's connection
   * timeout, until the first pool has ended its connection.
   */
  readonly poolConfig: PoolConfig;
  /** Cuts connections that are left, shuts the database down and unlocks the folder. Safe to call twice. */
  close(): Promise<void>;
}

const inMemory = 'memory://';

/**
 * Opens the database in a folder, which is created where it is missing, or in memory.
 *
 * Commits survive a killed process, not a power failure. Statements run on Node's event loop.
 *
 * @throws ConfigurationError when PGlite isn't installed, another process has the folder, or it can't be opened.
 */
export async function openEmbeddedPostgres(options: {
  /** An absolute path, or `memory://`. */
  readonly folder: string;
}): Promise<EmbeddedPostgres> {
  const start = await loadPglite();
  if (options.folder === inMemory) {
    const session = new SharedSession(await start(inMemory), forgotten);
    return overSession(session, async () => {});
  }
  const lock = await lockFolder(options.folder);
  try {
    const session = new SharedSession(await openFolder(lock, start), () => start(dataFolderOf(lock)));
    return overSession(session, () => lock.release());
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function overSession(session: SharedSession, afterwards: () => Promise<void>): EmbeddedPostgres {
  const streams = new Set<PgliteStream>();
  const stream = (): PgliteStream => {
    const opened = new PgliteStream(session);
    streams.add(opened);
    opened.once('close', () => streams.delete(opened));
    return opened;
  };
  const shutDown = async (): Promise<void> => {
    // One that is ending finishes by itself: its pool is done with it and no longer hears its errors.
    for (const open of streams) if (!open.writableEnded) open.destroy();
    await session.close();
    await afterwards();
  };
  let closing: Promise<void> | undefined;
  return {
    poolConfig: {
      stream,
      max: 1,
      // A new connection would find the session as it is anyway: keep the one.
      idleTimeoutMillis: 0,
      // Said outright, because pg would take what isn't from PGHOST, PGUSER, PGSSLMODE and their like.
      host: 'localhost',
      port: 5432,
      user: 'postgres',
      password: '',
      database: 'postgres',
      ssl: false,
    },
    close: () => (closing ??= shutDown()),
  };
}

async function openFolder(lock: FolderLock, start: StartPglite): Promise<PgliteEngine> {
  const dataFolder = dataFolderOf(lock);
  const unfinished = join(lock.folder, 'initializing');
  try {
    // A process killed while it filled a new data folder leaves half a database, which PGlite would start to
    // use. The mark is gone before anybody's first commit, so what it lets us delete was never promised.
    if (await exists(unfinished)) await rm(dataFolder, { recursive: true, force: true });
    if (await exists(dataFolder)) return await start(dataFolder);
    await writeFile(unfinished, '');
    // What is stored are users' results: neither their repository nor other accounts are to have them.
    await writeFile(join(lock.folder, '.gitignore'), '*\n');
    await mkdir(dataFolder, { mode: 0o700 });
    const engine = await start(dataFolder);
    await rm(unfinished);
    return engine;
  } catch (error) {
    throw new ConfigurationError(
      `The embedded database in ${lock.folder} cannot be opened: it may be damaged or of another version. ` +
        'Move the folder away to begin with an empty one, or set DATABASE_URL to use a Postgres server.',
      { cause: error },
    );
  }
}

function dataFolderOf(lock: FolderLock): string {
  return join(lock.folder, 'data');
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function forgotten(): Promise<never> {
  return Promise.reject(new Error('The database in memory ended unexpectedly, and its data with it.'));
}
