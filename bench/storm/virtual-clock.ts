/** A clock that jumps from timer to timer, in whole milliseconds, so that minutes of waiting take no time. */

export interface Timer {
  readonly call: () => void;
  /** Its neighbours among the timers of its millisecond; itself when it is in no queue. */
  previous: Timer;
  next: Timer;
}

export class VirtualClock {
  #nowMs = 0;
  #pending = 0;
  /** The head of a ring for every millisecond that has timers: millions of timers are set only to be cleared. */
  readonly #queues = new Map<number, Timer>();

  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#pending;
  }

  /** Calls at a time; at once, behind what is due already, where that has passed. */
  at(dueMs: number, call: () => void): Timer {
    const ms = Math.max(this.#nowMs, Math.trunc(dueMs));
    let head = this.#queues.get(ms);
    if (head === undefined) {
      head = createTimer(() => undefined);
      this.#queues.set(ms, head);
    }
    const timer = createTimer(call);
    timer.previous = head.previous;
    timer.next = head;
    head.previous.next = timer;
    head.previous = timer;
    this.#pending += 1;
    return timer;
  }

  /** Takes a timer back; one that was called already is left alone. */
  cancel(timer: Timer): void {
    if (timer.next === timer) return;
    timer.previous.next = timer.next;
    timer.next.previous = timer.previous;
    timer.previous = timer;
    timer.next = timer;
    this.#pending -= 1;
  }

  /**
   * Calls everything that is due, and lets what is waiting for promises go on after each millisecond, until no
   * timer is left.
   */
  async run(): Promise<void> {
    for (; this.#pending > 0; this.#nowMs += 1) {
      const head = this.#queues.get(this.#nowMs);
      if (head === undefined) continue;
      while (head.next !== head) {
        while (head.next !== head) {
          const timer = head.next;
          this.cancel(timer);
          timer.call();
        }
        // It comes after all that promises do, and may find new timers of this same millisecond.
        await new Promise(setImmediate);
      }
      this.#queues.delete(this.#nowMs);
    }
  }
}

function createTimer(call: () => void): Timer {
  const timer = { call } as Timer;
  timer.previous = timer;
  timer.next = timer;
  return timer;
}
