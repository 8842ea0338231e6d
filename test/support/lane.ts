/** One direction of a proxied connection: passes things on in order, and can be held. */

/** What decides about things, and where they go. */
export interface LaneEnds<T> {
  /** Asked once for each thing that reaches the front; `false` means that it is dropped or has been held. */
  decide(value: T): boolean;
  pass(value: T): void;
}

/** A queue that is empty except while it is held. */
export class Lane<T> {
  readonly #ends: LaneEnds<T>;
  readonly #holds = new Set<symbol>();
  #queue: { readonly value: T; readonly decided: boolean }[] = [];
  #closed = false;

  constructor(ends: LaneEnds<T>) {
    this.#ends = ends;
  }

  push(value: T): void {
    if (this.#closed) return;
    this.#queue.push({ value, decided: false });
    this.#flow();
  }

  /** Passes nothing on until the returned function is called; `front` is what is passed on first then. */
  hold(front?: T): () => void {
    const hold = Symbol('hold');
    this.#holds.add(hold);
    if (front !== undefined) this.#queue.unshift({ value: front, decided: true });
    return () => {
      if (this.#holds.delete(hold)) this.#flow();
    };
  }

  /** Forgets what is held and passes on nothing ever again. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
  }

  #flow(): void {
    while (this.#holds.size === 0) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      if (next.decided || this.#ends.decide(next.value)) this.#ends.pass(next.value);
    }
  }
}
