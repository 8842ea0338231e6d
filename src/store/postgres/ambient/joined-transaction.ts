/** An attempt's transaction as joined clients see it: the transactions that they begin are savepoints in it. */

import type { QueryConfig } from 'pg';
import { readsOnly } from '../sql-commands.ts';
import { refusal } from '../statement-queue.ts';
import type { Result, StatementQueue } from '../statement-queue.ts';
import { emptyResult, tagged } from './command-result.ts';
import type { Joinable } from './joinable.ts';
import { aborted, releasedInside, swallowed, undone, unfinished } from './joined-errors.ts';
import { localSettings } from './session-settings.ts';
import { mentionsSavepoint, savepointCommandOf, transactionCommandOf } from './transaction-command.ts';
import { Turns } from './turns.ts';
import type { Open, Owner } from './turns.ts';

interface Level extends Open {
  readonly savepoint: string;
  /** Whether its owner has rolled it back in the midst of a newer one, with whose end it is undone. */
  leaving: boolean;
  /** Whether its owner wrote in it. */
  wrote: boolean;
  /** How often others wrote in it, who do not expect it to be undone. */
  foreign: number;
  /** How often they had when the owner set a savepoint of its own, by its name. */
  readonly savepoints: Map<string, number>;
  /** Why it could not be begun. */
  broken: unknown;
  /** Whether it failed and was rolled back before its owner has said so, because others went on. */
  doomed: boolean;
}

export class JoinedTransaction implements Joinable {
  readonly ownedByLibrary = false;
  readonly #queue: StatementQueue;
  readonly #turns: Turns<Level>;
  readonly #beginning = new Set<Owner>();
  #named = 0;
  /** The settings of the client that spoke last and has any. */
  #settings: string | undefined;
  #damage: Error | undefined;
  /** Transactions that were open when the attempt was over. */
  #left: readonly Level[] = [];
  readonly #beforeSavepoint: () => void;

  /** `beforeSavepoint` is called when one is about to be queued. */
  constructor(queue: StatementQueue, beforeSavepoint: () => void) {
    this.#queue = queue;
    this.#beforeSavepoint = beforeSavepoint;
    this.#turns = new Turns(queue);
  }

  get over(): boolean {
    return this.#queue.over;
  }

  /**
   * Why the attempt must not commit, although every statement was answered well. To be asked when it is over and
   * all its statements are answered.
   */
  get damage(): Error | undefined {
    // Its COMMIT was never sent, or came too late: what it wrote is half of what it meant to write. Or it was
    // rolled back: with what it wrote, because others went on, or without what it wrote in the midst of another.
    const missing = this.#left.some(({ wrote, leaving, doomed }) => wrote || leaving || doomed);
    return this.#damage ?? (missing ? unfinished() : undefined);
  }

  isOpen(owner: Owner): boolean {
    const level = this.#turns.newestOf(owner);
    return this.#beginning.has(owner) || (level !== undefined && level.broken === undefined);
  }

  run(owner: Owner, config: QueryConfig): Promise<Result> {
    const command = transactionCommandOf(config.text);
    switch (command?.kind) {
      case undefined:
        return this.statement(owner, config);
      case 'begin':
        this.#beginning.add(owner);
        this.#beforeSavepoint();
        return this.#turns.take(owner, () => this.#begin(owner));
      case 'commit':
      case 'rollback':
        return this.#turns.take(owner, () => this.#end(owner, command.kind));
      case 'granted':
        // Not as it is: Postgres refuses to hear, in a savepoint, what would change nothing.
        return this.statement(owner, { text: 'set transaction read write' });
      case 'refused':
        return refusal(new Error(`The statement ${command.reason}.`));
    }
  }

  /** Runs a statement that is no such command. */
  statement(owner: Owner | undefined, config: QueryConfig): Promise<Result> {
    if (mentionsSavepoint(config.text)) this.#beforeSavepoint();
    if (this.#turns.newest === undefined) return this.#queue.enqueue(() => this.#send(owner, config));
    return this.#turns.take(owner, () => {
      const { newest } = this.#turns;
      if (newest === undefined) return this.#queue.enqueue(() => this.#send(owner, config));
      const own = this.#turns.newestOf(owner);
      // Looked up now: those that end behind it will be no more when it is sent.
      const inMidstOf =
        own === newest ? [] : this.#turns.open.slice(own && this.#turns.open.indexOf(own) + 1);
      return this.#queue.enqueue(() => this.#query(newest, own, inMidstOf, owner, config));
    });
  }

  /**
   * Something was written through no client, in the midst of the newest transaction. Whose it is can't be told where
   * several are at work, so that undoing it with the newest may lose it for another.
   */
  noteWrite(): void {
    const { newest, open } = this.#turns;
    if (newest === undefined) return;
    if (this.#turns.anyWaiting || open.some(({ owner }) => owner !== newest.owner)) newest.foreign += 1;
  }

  /** A client is given back. What it has left open would be open for nobody. */
  release(owner: Owner, abandoned: boolean): void {
    if (!this.#beginning.has(owner) && this.#turns.newestOf(owner) === undefined) return;
    // Behind what it has sent: that may be waiting for its turn, a BEGIN as well as the COMMIT.
    this.#turns.take(owner, () => this.#leave(owner, abandoned)).catch(ignore);
  }

  /** The attempt is over, and its queue refuses: those who wait are told so. */
  close(): void {
    this.#left = [...this.#turns.open];
    // They were sent in time, and nobody has awaited them: what they were to write is missing.
    if (this.#turns.anyWaiting) this.#damage ??= unfinished();
    this.#turns.close();
  }

  #begin(owner: Owner): Promise<Result> {
    this.#beginning.delete(owner);
    // Refused, and never to be ended: a client that a library keeps would be in this transaction for ever.
    if (this.over) return this.#queue.send({ text: 'begin' });
    const savepoint = `idempotency_${(this.#named += 1)}`;
    const below = this.#turns.newest;
    const level: Level = {
      owner,
      savepoint,
      leaving: false,
      wrote: false,
      foreign: 0,
      savepoints: new Map(),
      broken: undefined,
      doomed: false,
    };
    const begun = this.#queue.enqueue(async () => {
      if (below !== undefined && below.owner !== owner) await this.#passOver(below);
      return this.#queue.query({ text: `savepoint ${savepoint}` });
    });
    this.#turns.push(level);
    // It stays until its owner ends it: without it, what the owner sends next would be outside.
    begun.catch((error: unknown) => (level.broken = error));
    return begun.then((result) => tagged(result, 'BEGIN'));
  }

  #end(owner: Owner, how: 'commit' | 'rollback'): Promise<Result> {
    const level = this.#turns.newestOf(owner);
    if (this.over) {
      if (level !== undefined) this.#turns.remove(level);
      // What cleans up after an attempt that is over finds nothing to do; what commits is told that it is late.
      return how === 'rollback' ? Promise.resolve(emptyResult('ROLLBACK')) : this.#queue.send({ text: how });
    }
    // Postgres warns where none is open, and answers as if there had been one.
    if (level === undefined) return Promise.resolve(emptyResult(how.toUpperCase()));
    if (level !== this.#turns.newest) return this.#endInMidst(level, how);
    const below = this.#below(level);
    const ended = this.#queue.enqueue(() => this.#endLevel(level, below, how));
    this.#turns.remove(level);
    const { newest } = this.#turns;
    if (newest?.leaving === true) this.#end(newest.owner, 'rollback').catch(ignore);
    return ended;
  }

  async #leave(owner: Owner, abandoned: boolean): Promise<void> {
    const left = this.#turns.open.filter((level) => level.owner === owner);
    if (left.length > 0 && !abandoned && !this.over) {
      this.#damage ??= releasedInside();
    }
    await Promise.allSettled(left.map(() => this.#end(owner, 'rollback')));
  }

  /**
   * Ends a transaction while a newer one is open, whose end may be waiting for this one's. What it wrote becomes
   * part of what is around it. To undo it now would undo the newer one, so that is done when that has ended.
   */
  #endInMidst(level: Level, how: 'commit' | 'rollback'): Promise<Result> {
    const below = this.#below(level);
    if (how === 'rollback') {
      level.owner = {};
      level.leaving = true;
      return Promise.resolve(emptyResult('ROLLBACK'));
    }
    const merged = this.#queue.enqueue(async () => {
      if (level.broken !== undefined) throw level.broken;
      if (level.doomed) this.#damage ??= swallowed();
      handOver(level, below);
      return emptyResult(level.doomed ? 'ROLLBACK' : 'COMMIT');
    });
    this.#turns.remove(level);
    return merged;
  }

  #below(level: Level): Level | undefined {
    const { open } = this.#turns;
    return open[open.indexOf(level) - 1];
  }

  async #endLevel(level: Level, below: Level | undefined, how: 'commit' | 'rollback'): Promise<Result> {
    const { savepoint } = level;
    if (level.broken !== undefined) {
      if (how === 'commit') throw level.broken;
      return emptyResult('ROLLBACK');
    }
    const { failed } = this.#queue.session;
    // A transaction that failed commits nothing, and says so by its tag alone, which libraries don't read: to the
    // resolver it is a success.
    if (how === 'commit' && (failed || level.doomed)) this.#damage ??= swallowed();
    if (failed || (how === 'rollback' && !level.doomed)) await this.#rollBackTo(level);
    const result = await this.#queue.query({ text: `release savepoint ${savepoint}` });
    handOver(level, below);
    return tagged(result, failed || level.doomed || how === 'rollback' ? 'ROLLBACK' : 'COMMIT');
  }

  /** Sends a statement of whoever has begun `own`, or none, inside the newest transaction. */
  async #query(
    newest: Level,
    own: Level | undefined,
    inMidstOf: readonly Level[],
    owner: Owner | undefined,
    config: QueryConfig,
  ): Promise<Result> {
    if (own?.doomed === true) throw aborted();
    if (own !== newest) await this.#passOver(newest);
    const result = await this.#send(owner, config);
    this.#note(newest, inMidstOf, config.text);
    return result;
  }

  /** Sends a statement under the settings of its client's own connection. */
  #send(owner: Owner | undefined, config: QueryConfig): Promise<Result> {
    const settings = owner === undefined ? undefined : localSettings(owner);
    if (settings === undefined || settings === this.#settings) return this.#queue.query(config);
    return this.#queue.query({ text: settings }).then(() => {
      this.#settings = settings;
      return this.#queue.query(config);
    });
  }

  /**
   * Rolls a transaction back that has failed and whose owner has not said so yet. In a failed one nothing can
   * be done, and those who are at work beside it, or in its middle, have nothing to do with its failure.
   */
  async #passOver(level: Level): Promise<void> {
    if (!this.#queue.session.failed || level.doomed) return;
    await this.#rollBackTo(level);
    level.doomed = true;
  }

  async #rollBackTo(level: Level): Promise<void> {
    if (level.foreign > 0) this.#damage ??= undone();
    await this.#queue.query({ text: `rollback to savepoint ${level.savepoint}` });
    this.#settings = undefined;
    level.foreign = 0;
    level.wrote = false;
  }

  /** Keeps an account of who wrote what would be undone with what. */
  #note(newest: Level, inMidstOf: readonly Level[], text: string): void {
    const own = inMidstOf.length === 0;
    const savepoint = savepointCommandOf(text);
    if (savepoint?.kind === 'set') {
      if (own) newest.savepoints.set(savepoint.name, newest.foreign);
    } else if (savepoint?.kind === 'rollback') {
      const before = (own ? newest.savepoints.get(savepoint.name) : undefined) ?? newest.foreign;
      const others = inMidstOf.some(({ wrote, foreign }) => wrote || foreign > 0);
      if (others || newest.foreign > before) this.#damage ??= undone();
      newest.foreign = before;
      this.#settings = undefined;
    } else if (!readsOnly(text)) {
      if (own) newest.wrote = true;
      else newest.foreign += 1;
    }
  }
}

/** What was not undone with a transaction would be undone with the one around it. */
function handOver(level: Level, below: Level | undefined): void {
  if (below === undefined) return;
  if (below.owner === level.owner) below.wrote ||= level.wrote;
  else if (level.wrote) below.foreign += 1;
  below.foreign += level.foreign;
}

function ignore(): void {}
