/** One running PGlite: takes protocol messages, gives the bytes of the answer, and dies where it would hang. */

import { ConfigurationError } from '../../errors/configuration-error.ts';

/** The engine is of no more use: Postgres ended itself, or the program under it broke. */
export class EngineFailure extends Error {
  override readonly name = 'EngineFailure';
  /** What the engine still said, most often a FATAL error. */
  readonly answer: Buffer;

  constructor(answer: Buffer, cause: unknown) {
    super('The embedded database ended unexpectedly.', { cause });
    this.answer = answer;
  }
}

export interface PgliteEngine {
  /** Answers messages, errors included. @throws EngineFailure, after which only `abandon` is left. */
  exchange(messages: Uint8Array): Promise<Buffer>;
  /** Shuts down as a server does, with a checkpoint. */
  close(): Promise<void>;
  /** Lets go of the files and touches nothing else, as a kill would. */
  abandon(): void;
}

/** What is used of PGlite. Its own types stay out of ours, because it is optional. */
interface PGlite {
  readonly Module: {
    _PostgresMainLoopOnce: () => void;
    readonly FS: {
      readonly streams: readonly (FileStream | null | undefined)[];
      close(file: FileStream): void;
    };
  };
  execProtocolRawStream(
    messages: Uint8Array,
    options: { readonly onRawData: (bytes: Uint8Array) => void },
  ): Promise<void>;
  close(): Promise<void>;
}

interface FileStream {
  /** The descriptor in Node, where the file is one of Node's. */
  readonly nfd?: number;
}

export type StartPglite = (dataFolder: string) => Promise<PgliteEngine>;

/** What PGlite's main loop throws when a statement failed, which PGlite itself turns into an error's answer. */
const statementFailed = 100;

/** Loads PGlite. @throws ConfigurationError when it isn't installed. */
export async function loadPglite(): Promise<StartPglite> {
  const { PGlite } = await importPglite();
  return async (dataFolder) => engineOf((await PGlite.create(dataFolder)) as unknown as PGlite);
}

async function importPglite(): Promise<typeof import('@electric-sql/pglite')> {
  try {
    return await import('@electric-sql/pglite');
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new ConfigurationError(
      'No database is configured, and the embedded one is not installed. ' +
        'Either set DATABASE_URL, or install it: npm install @electric-sql/pglite',
      { cause: error },
    );
  }
}

function engineOf(pglite: PGlite): PgliteEngine {
  leaveLoopOnFailure(pglite);
  return {
    async exchange(messages) {
      const answer: Buffer[] = [];
      // The bytes are a view of memory that the next message overwrites.
      const onRawData = (bytes: Uint8Array): void => void answer.push(Buffer.from(bytes));
      try {
        await pglite.execProtocolRawStream(messages, { onRawData });
      } catch (error) {
        throw new EngineFailure(Buffer.concat(answer), error);
      }
      return Buffer.concat(answer);
    },
    close: () => pglite.close(),
    abandon() {
      const { FS } = pglite.Module;
      for (const file of FS.streams.filter((stream) => typeof stream?.nfd === 'number')) FS.close(file!);
    },
  };
}

/**
 * PGlite calls its main loop until the messages are used up and swallows whatever that throws. After a FATAL
 * error (an idle timeout in a transaction is one) the loop throws each time and uses nothing up: the process
 * would spin for ever. PGlite asks what was thrown for its `status`; answering with a throw is the way out.
 */
function leaveLoopOnFailure({ Module }: PGlite): void {
  const mainLoopOnce = Module._PostgresMainLoopOnce;
  Module._PostgresMainLoopOnce = () => {
    try {
      mainLoopOnce();
    } catch (error) {
      if ((error as { status?: unknown } | null)?.status === statementFailed) throw error;
      throw Object.defineProperty(new Error('left the main loop', { cause: error }), 'status', {
        get() {
          throw error;
        },
      });
    }
  };
}
