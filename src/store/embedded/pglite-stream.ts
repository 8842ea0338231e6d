/** What `pg` takes for a socket: a connection whose other end is the embedded database in this process. */

import { Duplex } from 'node:stream';
import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import { EngineFailure } from './pglite-engine.ts';
import type { SharedSession, Turn } from './shared-session.ts';
import { BatchFramer } from './wire-batches.ts';
import type { Batch } from './wire-batches.ts';

/** Connects when every earlier stream over the same session has ended; `pg`'s connection timeout bounds the wait. */
export class PgliteStream extends Duplex {
  readonly #session: SharedSession;
  readonly #framer = new BatchFramer();
  readonly #destroyed = new AbortController();
  #turn: Promise<Turn> | undefined;
  /** The answers so far. Each batch is appended, so answers come in the order of the questions. */
  #work: Promise<void> = Promise.resolve();

  constructor(session: SharedSession) {
    super({ allowHalfOpen: false });
    this.#session = session;
  }

  connect(): this {
    this.#turn = this.#session.takeTurn(this.#destroyed.signal);
    this.#turn.then(
      () => this.destroyed || this.emit('connect'),
      (error: Error) => this.destroy(error),
    );
    return this;
  }

  // A socket has these, and pg calls them; here is no wire to delay and no handle that keeps Node alive.
  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    try {
      for (const batch of this.#framer.take(chunk)) this.#work = this.#work.then(() => this.#answer(batch));
    } catch (error) {
      done(error as Error);
      return;
    }
    done();
  }

  override _final(done: (error?: Error) => void): void {
    void this.#work.then(() => {
      this.push(null);
      done();
    });
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // Batches that no one has begun are dropped, as what was still in a socket would be; the one under way
    // finishes before the turn ends, so that nothing of this stream runs in the next one's transaction.
    this.#destroyed.abort();
    void this.#work.then(() => this.#turn?.then((turn) => turn.end()).catch(() => {}));
    done(error);
  }

  async #answer(batch: Batch): Promise<void> {
    try {
      const turn = await this.#turn;
      // As from a socket, in a later turn of the loop: a caller that asks without pause would starve timers.
      await nextLoopTurn();
      if (turn === undefined || this.destroyed) return;
      const answer = await turn.exchange(batch);
      if (!this.destroyed) this.push(answer);
    } catch (error) {
      this.#lose(error);
    }
  }

  #lose(cause: unknown): void {
    if (this.destroyed) return;
    if (cause instanceof EngineFailure && cause.answer.length > 0) this.push(cause.answer);
    const lost = new Error('The connection to the embedded database was lost.', { cause });
    this.destroy(Object.assign(lost, { code: 'ECONNRESET' }));
  }
}
