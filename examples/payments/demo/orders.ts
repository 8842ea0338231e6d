/** Charges that are sent until they are answered, whatever is killed meanwhile. */

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { charge } from './client.ts';
import type { Answer, Charge } from './client.ts';
import type { Chance } from './chance.ts';
import type { Restarted } from './restarted.ts';

/** A charge, and whether it is to be refused: when its row is written and its event added. */
export interface Order extends Charge {
  readonly isRefused: boolean;
}

export interface SentOrders {
  readonly requests: number;
  /** The ids of the payments, by the answers. */
  readonly charged: readonly string[];
  readonly refused: number;
  /** Answers that nobody expected, in words. */
  readonly surprises: readonly string[];
}

export interface SendOptions {
  readonly server: Restarted;
  /** Aborted: nothing more is sent. */
  readonly signal: AbortSignal;
  /** Called for each order that has its answer. */
  readonly onAnswered: () => void;
}

const hands = 4;
const maxRequests = 200;

/** A fifth of them is over the limit. */
export function drawOrders(chance: Chance, users: readonly string[], count: number): readonly Order[] {
  const orders = Array.from({ length: count }, (_, index): Order => {
    const isRefused = index % 5 === 0;
    return {
      user: users[index % users.length]!,
      key: randomUUID(),
      amountCents: isRefused ? 1_000_000 + chance.between(1, 1000) : chance.between(100, 9999),
      isRefused,
    };
  });
  return chance.shuffle(orders);
}

/** Sends all of them, four at a time, until each has its answer. */
export async function sendOrders(
  orders: readonly Order[],
  { server, signal, onAnswered }: SendOptions,
): Promise<SentOrders> {
  const charged: string[] = [];
  const surprises: string[] = [];
  const left = [...orders];
  let requests = 0;
  let refused = 0;

  async function send(order: Order): Promise<void> {
    const { isRefused, ...sent } = order;
    let answer: Answer;
    for (let tries = 1; ; tries += 1) {
      answer = await charge(await server.url(), sent);
      requests += 1;
      if (!isToBeSentAgain(answer) || tries === maxRequests) break;
      await pause(answer.retryAfterMs ?? 50, undefined, { signal });
    }
    const { outcome, id } = answer;
    if (isRefused && outcome === 'LIMIT_EXCEEDED') refused += 1;
    else if (!isRefused && (outcome === 'executed' || outcome === 'replayed')) charged.push(id!);
    else surprises.push(`the key ${order.key} ends with: ${outcome}`);
    onAnswered();
  }

  async function work(): Promise<void> {
    for (let order = left.shift(); order !== undefined; order = left.shift()) await send(order);
  }

  await Promise.all(Array.from({ length: hands }, work));
  return { requests, charged, refused, surprises };
}

function isToBeSentAgain({ outcome, retryAfterMs }: Answer): boolean {
  return outcome === 'no answer' || retryAfterMs !== undefined;
}
