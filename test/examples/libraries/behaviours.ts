/** What every example is held to: the columns of the table in docs/libraries.md, each with its proof. */

import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { eventually, within } from '../../support/signal.ts';
import type { Answer } from './example-server.ts';
import type { PreparedExample } from './prepared.ts';
import type { Rows, Shop } from './shop.ts';

export interface Behaviour {
  /** The heading of its column. */
  readonly name: string;
  readonly claim: string;
  /** Which examples have to show it. */
  readonly kinds: readonly PreparedExample['kind'][];
  readonly check: (shop: Shop) => Promise<void>;
}

const nothing: Rows = { orders: 0, points: 0 };
/** The statement that writes the record travels with COMMIT: before it everything is written, and nothing is decided. */
const recordStatement = { from: 'client', sql: /\.complete\(/ } as const;

export const behaviours: readonly Behaviour[] = [
  {
    name: 'replays',
    claim: 'a retry gets the first answer, and there is one order',
    kinds: ['database', 'schema'],
    async check(shop) {
      const customer = shop.newCustomer();
      const key = randomUUID();
      const first = await customer.placeOrder(key, 'tea', 3);
      expect(first, first.text).toMatchObject({ status: 200, replayed: false });
      expect(first.data?.['placeOrder']).toMatchObject({ product: 'tea', quantity: 3, points: 30 });
      const retry = await customer.placeOrder(key, 'tea', 3);
      expect(retry, retry.text).toMatchObject({ status: 200, replayed: true });
      expect(retry.data).toEqual(first.data);
      expect(await customer.rows()).toMatchObject({ orders: 1 });
      expect(await customer.orders()).toEqual([first.data?.['placeOrder']]);
    },
  },
  {
    name: 'one of two',
    claim: 'of two copies at once one executes, and the other is told so',
    kinds: ['database', 'schema'],
    async check(shop) {
      const customer = shop.newCustomer();
      const key = randomUUID();
      const almostDone = shop.proxy.on(recordStatement, 'hold');
      const first = customer.placeOrder(key, 'tea', 3);
      await before(first, almostDone.matched);
      const second = await customer.placeOrder(key, 'tea', 3);
      almostDone.release();
      expect(second, second.text).toMatchObject({ status: 409, code: 'IDEMPOTENCY_IN_PROGRESS' });
      expect(await first).toMatchObject({ status: 200, replayed: false });
      expect(await customer.rows()).toMatchObject({ orders: 1 });

      const copies = Array.from({ length: 5 }, () => customer.placeOrder('at-once', 'tea', 3));
      const answers = await Promise.all(copies);
      for (const { code, text } of answers.filter(({ status }) => status !== 200))
        expect(code, text).toBe('IDEMPOTENCY_IN_PROGRESS');
      expect(answers.filter(({ status, replayed }) => status === 200 && !replayed)).toHaveLength(1);
      expect(await customer.rows()).toMatchObject({ orders: 2 });
    },
  },
  {
    name: 'rolled back',
    claim: 'an error that is thrown after the writes leaves nothing of them, and a retry executes anew',
    kinds: ['database', 'schema'],
    async check(shop) {
      const customer = shop.newCustomer();
      const key = randomUUID();
      const records = await shop.records();
      for (const time of ['first', 'second']) {
        const answer = await customer.placeOrder(key, 'discontinued', 3);
        expect(answer, `${time}: ${answer.text}`).toMatchObject({ code: 'BAD_USER_INPUT', replayed: false });
        expect(await customer.rows()).toEqual(nothing);
      }
      expect(await shop.records()).toBe(records);
      // The key was never used, so it is free for another order.
      const other = await customer.placeOrder(key, 'tea', 3);
      expect(other, other.text).toMatchObject({ status: 200, replayed: false });
      expect(await customer.rows()).toMatchObject({ orders: 1 });
    },
  },
  {
    name: 'part rolled back',
    claim: "a transaction of the library's own that fails takes only its part with it",
    kinds: ['database'],
    async check(shop) {
      const customer = shop.newCustomer();
      const key = randomUUID();
      const order = await customer.placeOrder(key, 'tea', 200);
      expect(order.data?.['placeOrder'], order.text).toMatchObject({ quantity: 200, points: 0 });
      expect(await customer.rows()).toEqual({ orders: 1, points: 0 });
      expect(await customer.placeOrder(key, 'tea', 200)).toMatchObject({ replayed: true, data: order.data });
      await customer.placeOrder(randomUUID(), 'tea', 100);
      expect(await customer.rows()).toEqual({ orders: 2, points: 1 });
    },
  },
  {
    name: 'kill -9',
    claim:
      'a server killed between the last write and the record leaves nothing, and the retry executes once',
    kinds: ['database'],
    async check(shop) {
      const customer = shop.newCustomer();
      const key = randomUUID();
      const allWritten = shop.proxy.on(recordStatement, 'hold');
      const unanswered = customer.placeOrder(key, 'tea', 3);
      unanswered.catch(() => undefined);
      await before(unanswered, allWritten.matched);
      expect(await shop.openWrites(), 'open transactions that have written an order').toBe(1);
      expect(await customer.rows(), 'rows that others see already').toEqual(nothing);
      await shop.kill();
      await expect(unanswered).rejects.toThrow();
      await eventually(async () => (await shop.openWrites()) === 0, { what: 'the rollback' });
      expect(await customer.rows()).toEqual(nothing);

      await shop.restart();
      const retry = await customer.placeOrder(key, 'tea', 3);
      expect(retry, retry.text).toMatchObject({ status: 200, replayed: false });
      expect(await customer.placeOrder(key, 'tea', 3)).toMatchObject({ replayed: true, data: retry.data });
      expect(await customer.rows()).toEqual({ orders: 1, points: 1 });
    },
  },
  {
    name: 'key demanded',
    claim: 'a call without a key is refused, and nothing runs',
    kinds: ['database', 'schema'],
    async check(shop) {
      const customer = shop.newCustomer();
      const answer = await customer.placeOrder(undefined, 'tea', 3);
      expect(answer, answer.text).toMatchObject({ status: 400, code: 'IDEMPOTENCY_KEY_MISSING' });
      expect(await customer.rows()).toEqual(nothing);
    },
  },
];

/** Waits for the record statement. A server that answers without one says in its answer why. */
async function before(answer: Promise<Answer>, statement: Promise<unknown>): Promise<void> {
  const answered = answer.then(({ text }) =>
    Promise.reject(new Error(`No record before the answer: ${text}`)),
  );
  await within(Promise.race([statement, answered]), { what: 'the record statement' });
  answered.catch(() => undefined);
}
