/** When the stores open and close: with the first server or call, and with the last server or on demand. */

import type { Config } from '../config/config.ts';
import { createJoining } from '../store/joining.ts';
import type { Joining } from '../store/joining.ts';
import { openStores } from '../store/open-stores.ts';
import type { Stores } from '../store/open-stores.ts';
import type { InboxStore } from '../store/inbox-port.ts';
import type { OutboxStore } from '../store/outbox-port.ts';
import { StoreUnavailableError } from '../store/port.ts';
import type { DurableStore, FastTier } from '../store/port.ts';
import type { MigrationResult } from '../store/postgres/migrator.ts';
import { startRounds } from '../sweep/rounds.ts';
import type { Rounds } from '../sweep/rounds.ts';
import { startSweeper } from '../sweep/sweeper.ts';
import type { Sweeper } from '../sweep/sweeper.ts';

/** What the rest of the library does when the stores open and close. */
export interface LifetimeHooks {
  /** Resolves when no call is under way. */
  readonly idle: () => Promise<void>;
  /** The server stops: nobody may go on waiting for another call's answer. */
  readonly endWaiting: () => void;
  /** One round of offering abandoned attempts to those who may know what became of them. */
  readonly recover: () => Promise<unknown>;
  /** Ends the relays, which give back what they hold. */
  readonly stopRelays: () => Promise<unknown>;
}

export class Lifetime {
  readonly #config: Config;
  readonly #hooks: LifetimeHooks;
  /** What of the user's joins the attempts' transactions. */
  readonly joining: Joining;
  #connecting: Promise<Stores> | undefined;
  #opening: Promise<Stores> | undefined;
  #stores: Stores | undefined;
  #sweeper: Sweeper | undefined;
  #recovery: Rounds | undefined;
  #servers = 0;
  #closed = false;

  constructor(config: Config, hooks: LifetimeHooks) {
    this.#config = config;
    this.#hooks = hooks;
    this.joining = createJoining(config, async () => (await this.#connect()).embedded!);
  }

  /** The durable tier; opens with its first use where nobody opened it. */
  readonly durable: Omit<DurableStore, 'open' | 'sweep' | 'close' | 'outbox' | 'inbox'> = {
    claim: (identity) => this.#with(({ durable }) => durable.claim(identity)),
    begin: (use) => this.#with(({ durable }) => durable.begin(use)),
    record: (record) => this.#with(({ durable }) => durable.record(record)),
    claimLease: (terms) => this.#with(({ durable }) => durable.claimLease(terms)),
    takeOver: (takeover) => this.#with(({ durable }) => durable.takeOver(takeover)),
    abandoned: (query) => this.#with(({ durable }) => durable.abandoned(query)),
    reached: () => this.#with(({ durable }) => durable.reached()),
  };

  /** The inbox; opens with its first use where nobody opened it. */
  readonly inbox: InboxStore = {
    begin: (...begun) => this.#with(({ durable }) => durable.inbox.begin(...begun)),
    giveBack: (identity) => this.#with(({ durable }) => durable.inbox.giveBack(identity)),
    fail: (...failed) => this.#with(({ durable }) => durable.inbox.fail(...failed)),
    forget: (message) => this.#with(({ durable }) => durable.inbox.forget(message)),
    dead: (query) => this.#with(({ durable }) => durable.inbox.dead(query)),
    discard: (filter) => this.#with(({ durable }) => durable.inbox.discard(filter)),
  };

  /** The fast tier. Before the stores are open it has seen nothing. */
  readonly fast: Pick<FastTier, 'recall' | 'remember'> = {
    recall: (identity) => this.#stores?.fast.recall(identity) ?? unseen,
    remember: (...written) => this.#stores?.fast.remember(...written),
  };

  async open(): Promise<void> {
    await this.#open();
  }

  /** The outbox of the stores that are open now. It stays that of these stores when others are opened later. */
  async outbox(): Promise<OutboxStore> {
    return (await this.#use()).durable.outbox;
  }

  async migrate(): Promise<MigrationResult> {
    return (await this.#connect()).migrate();
  }

  async sweep(): Promise<{ readonly stripped: number; readonly deleted: number }> {
    await this.#open();
    return this.#sweeper!.sweep();
  }

  /** Opens for one more server. */
  async retain(): Promise<void> {
    this.#servers += 1;
    this.#closed = false;
    await this.#open();
  }

  /** One server less. Servers that stop have drained before; what is still under way is rolled back. */
  async release(): Promise<void> {
    this.#servers -= 1;
    if (this.#servers <= 0) await this.#end();
  }

  /** Waits for the calls under way, at most `drainTimeout`. */
  async drain(): Promise<void> {
    this.#hooks.endWaiting();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#config.settings.drainTimeout);
    });
    await Promise.race([this.#hooks.idle(), timeout]);
    clearTimeout(timer);
  }

  async close(): Promise<void> {
    // What is being published ends while the calls do.
    const stopped = this.#hooks.stopRelays();
    if (!this.#closed) await this.drain();
    await stopped;
    await this.#end();
  }

  async #end(): Promise<void> {
    const connecting = this.#connecting;
    const sweeper = this.#sweeper;
    const recovery = this.#recovery;
    // All of it before the first wait: a server that starts meanwhile opens stores of its own, and must not
    // be given those that close here.
    this.#closed = true;
    this.#connecting = undefined;
    this.#opening = undefined;
    this.#stores = undefined;
    this.#sweeper = undefined;
    this.#recovery = undefined;
    // Not waited for yet: a callback that is still looking something up ends with its lease, which the store
    // gives up when it closes.
    const recovered = recovery?.stop();
    await sweeper?.stop();
    await this.#hooks.stopRelays();
    const joined = this.joining.close();
    const stores = await connecting?.catch(() => undefined);
    await stores?.close();
    await recovered;
    await joined;
  }

  /** At once where the stores are open, which is always but for the first. */
  #with<T>(work: (stores: Stores) => Promise<T>): Promise<T> {
    return this.#stores === undefined ? this.#use().then(work) : work(this.#stores);
  }

  async #use(): Promise<Stores> {
    if (this.#stores !== undefined) return this.#stores;
    if (this.#closed) throw new StoreUnavailableError('the store is closed');
    try {
      return await this.#open();
    } catch (error) {
      throw new StoreUnavailableError('the store cannot be opened', { cause: error });
    }
  }

  /** Connected, but not checked: migrations come before the check. A failure is tried again by the next caller. */
  #connect(): Promise<Stores> {
    if (this.#connecting !== undefined) return this.#connecting;
    const connecting = openStores(this.#config, this.joining.ambient).catch((error: unknown) => {
      // After a close, what is there by now is another's.
      if (this.#connecting === connecting) this.#connecting = undefined;
      throw error;
    });
    return (this.#connecting = connecting);
  }

  #open(): Promise<Stores> {
    if (this.#opening !== undefined) return this.#opening;
    const opening = this.#check().catch((error: unknown) => {
      if (this.#opening === opening) this.#opening = undefined;
      throw error;
    });
    return (this.#opening = opening);
  }

  async #check(): Promise<Stores> {
    const connecting = this.#connect();
    const stores = await connecting;
    await stores.durable.open();
    if (this.#connecting !== connecting) throw new StoreUnavailableError('the store was closed meanwhile');
    const { settings, logger } = this.#config;
    this.#sweeper = startSweeper({
      store: stores.durable,
      intervalMs: settings.sweepInterval,
      batchSize: settings.sweepBatchSize,
      logger,
    });
    this.#recovery = startRounds({
      intervalMs: settings.recoverInterval,
      work: this.#hooks.recover,
      onError: (error) => logger.warn('Recovering abandoned attempts failed.', { cause: error }),
    });
    this.#stores = stores;
    this.#closed = false;
    return stores;
  }
}

const unseen = Promise.resolve(undefined);
