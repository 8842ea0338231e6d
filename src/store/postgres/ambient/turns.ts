/**
 * Whose turn it is in an attempt, where several transactions are open at the same time.
 *
 * There is one session, and savepoints are a stack. Two transactions that run side by side on connections of
 * their own can't do so here: rolling back the older would undo the newer, which was told that it committed.
 * So the newest goes first, and everybody else waits for its end: those who belong to an older transaction, and
 * those who belong to none. But the newest may itself be waiting for one of them, in the middle of its work.
 * Nothing tells whether it does. When it has had its answers and says nothing more, it may.
 */

import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { StatementQueue } from '../statement-queue.ts';

/** Whoever begins and ends transactions: a client. */
export type Owner = object;

/** An open transaction. */
export interface Open {
  owner: Owner;
}

/** How long the newest may be silent before an older one speaks in its midst, rather than wait for ever. */
const PATIENCE_MS = 250;

interface Waiting {
  readonly owner: Owner | undefined;
  readonly go: () => void;
}

export class Turns<Level extends Open> {
  readonly #queue: StatementQueue;
  readonly #levels: Level[] = [];
  #waiting: Waiting[] = [];
  /** Counts what the owner of the newest does, to see whether it is silent. */
  #moves = 0;
  #watching = false;

  constructor(queue: StatementQueue) {
    this.#queue = queue;
  }

  get newest(): Level | undefined {
    return this.#levels.at(-1);
  }

  get open(): readonly Level[] {
    return this.#levels;
  }

  /** Whether anybody waits. */
  get anyWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  newestOf(owner: Owner | undefined): Level | undefined {
    return owner === undefined ? undefined : this.#levels.findLast((level) => level.owner === owner);
  }

  /** A transaction has begun: what its owner has sent since may be waiting. */
  push(level: Level): void {
    this.#levels.push(level);
    this.#goOn();
  }

  /** A transaction has ended: it is the turn of those who waited for that. */
  remove(level: Level): void {
    this.#levels.splice(this.#levels.indexOf(level), 1);
    this.#goOn();
  }

  /** Acts when it is the owner's turn, or in the midst of a newer transaction that is silent for long. */
  take<T>(owner: Owner | undefined, act: () => Promise<T>): Promise<T> {
    const level = this.newestOf(owner);
    if (this.#queue.over || this.newest === undefined) return act();
    if (level === this.newest) {
      this.#moves += 1;
      return act();
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ owner, go: () => void act().then(resolve, reject) });
      void this.#watch();
    });
  }

  /** The attempt is over: everybody acts, and is refused. */
  close(): void {
    for (const { go } of this.#waiting.splice(0)) go();
  }

  /** Lets those act who need not wait any more. */
  #goOn(): void {
    this.#moves += 1;
    for (;;) {
      const { newest } = this;
      const next = this.#takeOut(({ owner }) => newest === undefined || this.newestOf(owner) === newest);
      if (next === undefined) return;
      next.go();
    }
  }

  /** Lets one act in the midst of the newest each time that it is silent, until nobody waits any more. */
  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    while (this.#waiting.length > 0 && !this.#queue.over) {
      const moves = this.#moves;
      const silent = (): boolean => moves === this.#moves;
      await this.#queue.answered();
      // Whoever has had an answer says what is next in the same turn, or after a detour in the next one.
      await turn();
      await turn();
      if (!silent()) continue;
      // A stranger first: it is more likely what the newest waits for than one that has begun before.
      const stranger = ({ owner }: Waiting): boolean => this.newestOf(owner) === undefined;
      let next = this.#takeOut(stranger);
      if (next === undefined) {
        await sleep(PATIENCE_MS, undefined, { ref: false });
        if (silent()) next = this.#takeOut(() => true);
      }
      next?.go();
    }
    this.#watching = false;
  }

  #takeOut(wanted: (waiting: Waiting) => boolean): Waiting | undefined {
    const index = this.#waiting.findIndex(wanted);
    return index === -1 ? undefined : this.#waiting.splice(index, 1)[0];
  }
}
