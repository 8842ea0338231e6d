/** The connection to RabbitMQ: made when it is needed, and made anew when it was lost. */

import type { RabbitMqConnection } from './amqplib.ts';
import { within } from './within.ts';

/** The option that both sides have. */
export type Connect = () => PromiseLike<RabbitMqConnection>;

interface Attempt {
  readonly connection: Promise<RabbitMqConnection>;
  /** Why the broker reads nothing that is published, while it does not. */
  blocked: string | undefined;
  /** The last that was heard of it. */
  error: unknown;
}

/** After that, a broker that does not answer is left to find out by itself. */
const CLOSE_TIMEOUT_MS = 5000;

export class Link {
  readonly #connect: Connect;
  #current: Attempt | undefined;
  #closed = false;

  constructor(connect: Connect) {
    this.#connect = connect;
  }

  /** Why the broker reads nothing that is published, such as that its memory is short; `undefined` where it reads. */
  get blocked(): string | undefined {
    return this.#current?.blocked;
  }

  /** What was heard of the connection when it was lost. */
  get error(): unknown {
    return this.#current?.error;
  }

  /**
   * Opens a channel, and the connection before that where there is none. Where it fails, or takes longer than it may,
   * the connection is given up, for the next call to make another.
   */
  async open<Channel>(
    open: (connection: RabbitMqConnection) => Promise<Channel>,
    timeoutMs: number,
  ): Promise<Channel> {
    if (this.#closed) throw new Error('The connection to RabbitMQ was closed.');
    const attempt = (this.#current ??= this.#begin());
    try {
      return await within(attempt.connection.then(open), timeoutMs, 'RabbitMQ did not answer');
    } catch (error) {
      this.#giveUp(attempt);
      throw error;
    }
  }

  /** Closes the connection without waiting for that: the next call of `open` makes another. */
  giveUp(): void {
    if (this.#current !== undefined) this.#giveUp(this.#current);
  }

  /** Closes the connection for good. */
  async close(): Promise<void> {
    this.#closed = true;
    const attempt = this.#current;
    this.#current = undefined;
    if (attempt !== undefined) await quietly(async () => (await attempt.connection).close());
  }

  #giveUp(attempt: Attempt): void {
    if (this.#current === attempt) this.#current = undefined;
    // One that is not made yet is closed when it is: nobody else would.
    attempt.connection.then((connection) => connection.close()).catch(() => {});
  }

  #begin(): Attempt {
    const connecting = (async () => this.#connect())();
    const attempt: Attempt = { connection: connecting, blocked: undefined, error: undefined };
    connecting.then(
      (connection) => this.#watch(connection, attempt),
      () => {},
    );
    return attempt;
  }

  #watch(connection: RabbitMqConnection, attempt: Attempt): void {
    // Without a listener, the first lost connection would end the process.
    connection.on('error', (error: unknown) => {
      attempt.error = error;
    });
    connection.on('close', (error: unknown) => {
      attempt.error ??= error;
      if (this.#current === attempt) this.#current = undefined;
    });
    connection.on('blocked', (reason: unknown) => {
      attempt.blocked = String(reason);
    });
    connection.on('unblocked', () => {
      attempt.blocked = undefined;
    });
  }
}

/** Ends something and waits for that, whatever comes of it, but not for ever. */
export async function quietly(end: () => Promise<unknown>): Promise<void> {
  const ending = (async () => end())();
  await within(ending, CLOSE_TIMEOUT_MS, '').catch(() => {});
}
