/** One call of the mutation under verification: the fault around its resolver, and what the library told of it. */

import type { GuardedCall } from '../guard/call.ts';
import type { CurrentAttempt } from '../guard/current.ts';
import type { Rehearsal } from '../guard/rehearsal.ts';
import type { IdempotencyMessage } from '../telemetry/channels.ts';

type Answered = Extract<IdempotencyMessage, { readonly type: 'answered' }>;

/** What is done around, before or instead of a resolver. */
export type Fault = (attempt: CurrentAttempt, resolve: () => unknown) => unknown;

export class RehearsedCall implements Rehearsal {
  readonly #fault: Fault | undefined;
  readonly #answers: Answered[] = [];
  #call: GuardedCall | undefined;
  #running = false;
  #over = false;
  #several = false;
  #lateStatements = 0;
  #broken: unknown;

  constructor(fault?: Fault) {
    this.#fault = fault;
  }

  /** What was executed; `undefined` where no resolver ran. */
  get executed(): GuardedCall | undefined {
    return this.#call;
  }

  /** Whether more than one guarded field was executed. */
  get several(): boolean {
    return this.#several;
  }

  /** How many statements came to the transaction after its resolver had settled. */
  get lateStatements(): number {
    return this.#lateStatements;
  }

  /** Why the transaction could not be ended well, where the resolver is to blame. */
  get broken(): unknown {
    return this.#broken;
  }

  /** How the library answered. */
  get answered(): Answered | undefined {
    const identity = this.#call?.identity.toString('hex');
    return this.#answers.findLast((answer) => identity === undefined || answer.identity === identity);
  }

  async around(call: GuardedCall, attempt: CurrentAttempt, resolve: () => unknown): Promise<unknown> {
    // What the resolver itself calls is its own affair. And what it has left behind may call long after.
    if (this.#over || this.#running) return resolve();
    if (this.#call !== undefined) {
      this.#several = true;
      return resolve();
    }
    this.#call = call;
    this.#running = true;
    try {
      return await (this.#fault === undefined ? resolve() : this.#fault(attempt, resolve));
    } finally {
      this.#running = false;
    }
  }

  /** Hears what the library publishes in this call's own flow. */
  hear(message: IdempotencyMessage): void {
    if (message.type === 'answered' && !this.#over) this.#answers.push(message);
    if (message.type !== 'postgres') return;
    if (message.event === 'late-statement') this.#lateStatements += 1;
    if (message.event === 'broken') this.#broken = message.error ?? new Error('broken');
  }

  /** The answer is there: from here on it stands around nothing more. */
  end(): void {
    this.#over = true;
  }
}
