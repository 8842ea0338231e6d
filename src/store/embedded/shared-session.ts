/** The one Postgres session that connections use in turn: who may speak, and that each finds it clean. */

import { EngineFailure } from './pglite-engine.ts';
import type { PgliteEngine } from './pglite-engine.ts';
import { closingStatus, simpleQuery, sync } from './wire-batches.ts';
import type { Batch } from './wire-batches.ts';

/** The session in the hands of one connection. */
export interface Turn {
  /** @throws EngineFailure with what the engine still said; the turn is of no more use then. */
  exchange(batch: Batch): Promise<Buffer>;
  /** Rolls back, forgets the session's state and lets the next connection speak. Safe to call twice. */
  end(): Promise<void>;
}

/**
 * What the next connection must not meet, in this order. A client that died between an error and its Sync has
 * left the session deaf to anything but Sync, so a rollback comes after it; one that died between Execute and
 * Sync has left work that Sync would commit, so a rollback comes before it too.
 */
const cleanUp = Buffer.concat([
  simpleQuery('rollback'),
  sync,
  simpleQuery('rollback'),
  simpleQuery('discard all'),
]);

export class SharedSession {
  readonly #open: () => Promise<PgliteEngine>;
  #engine: PgliteEngine | undefined;
  #lastTurn: Promise<void> = Promise.resolve();
  #closed = false;

  /** `open` is called again for the turn after a failure. */
  constructor(engine: PgliteEngine, open: () => Promise<PgliteEngine>) {
    this.#engine = engine;
    this.#open = open;
  }

  /**
   * Waits until every earlier connection has ended. One at a time, because a cut connection's late messages
   * would otherwise run inside the transaction of the next.
   */
  async takeTurn(givenUp: AbortSignal): Promise<Turn> {
    const earlier = this.#lastTurn;
    let endTurn: () => void = () => {};
    this.#lastTurn = new Promise((resolve) => {
      endTurn = resolve;
    });
    await earlier;
    try {
      givenUp.throwIfAborted();
      if (this.#closed) throw new Error('The embedded database was closed.');
      this.#engine ??= await this.#open();
    } catch (error) {
      endTurn();
      throw error;
    }
    let ended = false;
    return {
      exchange: (batch) => this.#exchange(batch),
      end: async () => {
        if (ended) return;
        ended = true;
        await this.#clean();
        endTurn();
      },
    };
  }

  /** Waits for the last turn to end, then shuts the engine down. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#lastTurn;
    await this.#engine?.close();
    this.#engine = undefined;
  }

  async #exchange(batch: Batch): Promise<Buffer> {
    if (this.#engine === undefined) throw new EngineFailure(Buffer.alloc(0), new Error('it ended before'));
    try {
      const answer = await this.#engine.exchange(batch.bytes);
      if (!batch.endsInReady || closingStatus(answer) !== undefined) return answer;
      throw new EngineFailure(answer, new Error('its answer does not end as the protocol wants'));
    } catch (error) {
      this.#engine.abandon();
      this.#engine = undefined;
      throw error;
    }
  }

  /** A session that can't be cleaned is thrown away; the next turn opens the database again. */
  async #clean(): Promise<void> {
    if (this.#engine === undefined) return;
    const answer = await this.#exchange({ bytes: cleanUp, endsInReady: true }).catch(() => undefined);
    if (answer === undefined || closingStatus(answer) === 'I') return;
    this.#engine.abandon();
    this.#engine = undefined;
  }
}
