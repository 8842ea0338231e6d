/** The stream of `payment.captured`, seen from outside: what is in it, and how far the bookkeeper is. */

import { Redis } from 'ioredis';
import type { CapturedPayment } from '../resolvers.ts';

export interface PublishedEvent {
  readonly eventId: string;
  readonly payment: CapturedPayment;
}

/** How far the bookkeeper is. */
export interface StreamState {
  readonly last: string | undefined;
  readonly pending: unknown;
  readonly delivered: unknown;
  /** Every entry is handled and acknowledged. */
  readonly isConsumed: boolean;
}

const STREAM = 'payment.captured';

export class EventStream {
  readonly #redis: Redis;

  constructor(url: string) {
    this.#redis = new Redis(url);
    // Killed at the demo's end, too.
    this.#redis.on('error', () => {});
  }

  async length(): Promise<number> {
    return this.#redis.xlen(STREAM);
  }

  /** Every entry, repetitions included. */
  async entries(): Promise<readonly PublishedEvent[]> {
    const entries = await this.#redis.xrange(STREAM, '-', '+');
    return entries.map(([, fields]) => ({
      eventId: valueOf(fields, 'event-id'),
      payment: JSON.parse(valueOf(fields, 'event-payload')) as CapturedPayment,
    }));
  }

  /** Appends the first entries once more; returns how many these are. */
  async repeat(count: number): Promise<number> {
    const entries = await this.#redis.xrange(STREAM, '-', '+', 'COUNT', count);
    for (const [, fields] of entries) await this.#redis.xadd(STREAM, '*', ...fields);
    return entries.length;
  }

  async state(): Promise<StreamState> {
    const [last] = await this.#redis.xrevrange(STREAM, '+', '-', 'COUNT', 1);
    const groups = (await this.#redis.xinfo('GROUPS', STREAM)) as unknown[][];
    const fields = groups[0] ?? [];
    const pending = fields[fields.indexOf('pending') + 1];
    const delivered = fields[fields.indexOf('last-delivered-id') + 1];
    return { last: last?.[0], pending, delivered, isConsumed: pending === 0 && delivered === last?.[0] };
  }

  close(): void {
    this.#redis.disconnect();
  }
}

function valueOf(fields: readonly string[], name: string): string {
  for (let at = 0; at + 1 < fields.length; at += 2) if (fields[at] === name) return fields[at + 1]!;
  throw new Error(`An entry of the stream has no field ${name}`);
}
