/** The server of the storm: executes a mutation once per key, crashes, is down, comes back, and can be overloaded. */

import { Load } from './load.ts';
import { seededRandom } from './seeded-random.ts';
import type { VirtualClock } from './virtual-clock.ts';
import { normalPerSecond, outageEndMs } from './world.ts';
import type { World } from './world.ts';

export type Answer =
  /** Status 200. */
  | 'done'
  /** Status 503: nothing was executed. */
  | 'refused'
  /** The connection broke; who knows. */
  | 'lost';

export interface MutationRequest {
  /** What the caller means, by number; the server counts by it, and never decides by it. */
  readonly intent: number;
  readonly key: string | undefined;
}

/** How much waits at most, in milliseconds of the capacity; from half of that on, the more wait the more are refused. */
const QUEUE_MS = 100;

export class StormServer {
  readonly load = new Load();
  readonly #world: World;
  readonly #clock: VirtualClock;
  readonly #random: () => number;
  readonly #executedKeys = new Set<string>();
  readonly #executions: number[] = [];
  readonly #capacityPerMs: number;
  #requests = 0;
  #queued = 0;
  #queuedAtMs = 0;

  constructor(world: World, clock: VirtualClock) {
    this.#world = world;
    this.#clock = clock;
    // Chance of its own: what the clients draw changes nothing here.
    this.#random = seededRandom(world.seed ^ 0x5ee_d0f5);
    this.#capacityPerMs = (normalPerSecond(world) * world.capacity) / 1000;
  }

  get requests(): number {
    return this.#requests;
  }

  /** Intents that were executed more than once. */
  executedTwice(): number {
    return this.#executions.filter((executions) => executions > 1).length;
  }

  receive({ intent, key }: MutationRequest, tell: (answer: Answer) => void): void {
    const { warmUpMs, crashMs, executionMs, refusalMs, lostShare } = this.#world;
    const now = this.#clock.nowMs;
    this.load.count(now);
    this.#requests += 1;
    const crashEndMs = warmUpMs + crashMs;
    const down = now >= crashEndMs && now < outageEndMs(this.#world);
    if (down || !this.#takes(now)) {
      this.#clock.at(now + refusalMs, () => tell('refused'));
      return;
    }
    this.#execute(intent, key);
    if (now + executionMs > warmUpMs && now < crashEndMs) {
      // The process is gone, and all its connections break at once.
      this.#clock.at(crashEndMs, () => tell('lost'));
      return;
    }
    const lost = this.#random() < lostShare;
    this.#clock.at(now + executionMs, () => tell(lost ? 'lost' : 'done'));
  }

  #execute(intent: number, key: string | undefined): void {
    if (key !== undefined) {
      if (this.#executedKeys.has(key)) return;
      this.#executedKeys.add(key);
    }
    increment(this.#executions, intent);
  }

  #takes(now: number): boolean {
    const done = (now - this.#queuedAtMs) * this.#capacityPerMs;
    this.#queued = Math.max(0, this.#queued - done);
    this.#queuedAtMs = now;
    // By chance, as within a millisecond nobody comes first; those who wait longest would, by the clock's order.
    const room = Math.max(1, QUEUE_MS * this.#capacityPerMs);
    const crowding = (2 * this.#queued) / room - 1;
    if (crowding > 0 && this.#random() < crowding) return false;
    this.#queued += 1;
    return true;
  }
}

function increment(counts: number[], index: number): void {
  // Intents come in order, by and large; no holes.
  while (counts.length <= index) counts.push(0);
  counts[index]! += 1;
}
