/** A process that is killed, and started again. */

import type { Running } from './processes.ts';

export class Restarted {
  readonly #start: () => Promise<Running>;
  #running: Promise<Running>;
  kills = 0;

  constructor(start: () => Promise<Running>) {
    this.#start = start;
    this.#running = start();
  }

  /** Where it is; while it starts, resolves when it is there. */
  async url(): Promise<string> {
    return (await this.#running).url;
  }

  /** Kills it as by kill -9, and resolves when it is there again. */
  async kill(): Promise<void> {
    const running = await this.#running;
    this.kills += 1;
    this.#running = running.kill().then(this.#start);
    await this.#running;
  }
}
