/** Calls of this process that are looking up or executing one identity. */

import { setMaxListeners } from 'node:events';
import type { CompletedRecord, StoredRecord } from '../record/record.ts';

/** What the first of several simultaneous lookups found out for the others. */
export type Lookup =
  | { readonly kind: 'found'; readonly record: StoredRecord; readonly clockMs: number }
  /** No record: somebody executes, here or elsewhere. */
  | { readonly kind: 'vacant' }
  | { readonly kind: 'failed'; readonly error: unknown };

export class Flight {
  /** Never rejects. */
  readonly lookup: Promise<Lookup>;
  /** Resolves when it has ended, with whatever answer. */
  readonly over: Promise<void>;
  #granted = false;
  #settle!: (lookup: Lookup) => void;
  #end!: () => void;

  constructor() {
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.lookup = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Whether the claim was granted here, so that any other call of the identity is a duplicate in flight. */
  get granted(): boolean {
    return this.#granted;
  }

  found(record: CompletedRecord | StoredRecord, clockMs: number): void {
    this.#settle({ kind: 'found', record, clockMs });
  }

  vacant(granted: boolean): void {
    this.#granted = granted;
    this.#settle({ kind: 'vacant' });
  }

  fail(error: unknown): void {
    this.#settle({ kind: 'failed', error });
  }

  end(): void {
    this.#end();
  }
}

/**
 * One lookup at a time for each identity. Without it, simultaneous duplicates of one key would take every
 * connection of the pool, and calls with other keys would wait for them.
 */
export class Flights {
  readonly #flights = new Map<string, Flight>();
  #draining = forMany();

  /** Aborts when the server stops: who waits for another call's answer is told that it is in progress. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  endWaiting(): void {
    this.#draining.abort();
    this.#draining = forMany();
  }

  get(identity: Buffer): Flight | undefined {
    return this.#flights.get(identity.toString('latin1'));
  }

  /** Runs the work as the identity's flight; it is over when it has found a record, or when the work is. */
  async lead<T>(identity: Buffer, work: (flight: Flight) => Promise<T>): Promise<T> {
    const id = identity.toString('latin1');
    const flight = new Flight();
    this.#flights.set(id, flight);
    const over = (): void => {
      if (this.#flights.get(id) === flight) this.#flights.delete(id);
    };
    // What was found holds for those who asked meanwhile. The leader's replay may go on for long, in an
    // authorization of the user's; whoever comes then would be given a record that has expired since.
    void flight.lookup.then(({ kind }) => kind === 'found' && over());
    try {
      return await work(flight);
    } catch (error) {
      flight.fail(error);
      throw error;
    } finally {
      over();
      flight.end();
    }
  }
}

/** As many listen as calls wait; Node would warn of the eleventh. */
function forMany(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
