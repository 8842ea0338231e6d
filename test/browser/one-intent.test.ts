/** What one click means, and two, and ten, and one by keyboard. */

import { beforeAll, describe, expect, it } from 'vitest';
import { openCheckout, tabTo } from './checkout.ts';
import { executed, expectOnePayment } from './one-row.ts';
import { openProfile } from './profile.ts';
import { newShopper, openShop } from './shop.ts';
import type { Shop } from './shop.ts';

let shop: Shop;

beforeAll(async () => {
  shop = await openShop();
});

describe('a click on Pay', () => {
  it('is one payment, and the page shows what was sent and what came back', async () => {
    const shopper = newShopper();
    const checkout = await openCheckout(await openProfile(), shop, shopper);
    await checkout.waitFor('idle');
    await checkout.waitForBalance(0);
    const hold = await shop.holdCharges();
    await checkout.pay();
    await hold.reached(1);
    await checkout.waitFor('sending');
    expect(await checkout.attempts()).toEqual([
      { key: checkout.sentKeys()[0], number: 1, outcome: 'pending', served: '' },
    ]);
    await hold.release();
    await expectOnePayment(shop, shopper, checkout, [executed]);
  });

  it('is the same intent when it is a double click', async () => {
    const shopper = newShopper();
    const checkout = await openCheckout(await openProfile(), shop, shopper);
    // Both clicks come before there is an answer.
    const hold = await shop.holdCharges();
    await checkout.part('pay').dblclick({ force: true });
    await hold.reached(1);
    await hold.release();
    await expectOnePayment(shop, shopper, checkout, [executed]);
  });

  it('is the same intent ten times within one task, before anything can be drawn', async () => {
    const shopper = newShopper();
    const checkout = await openCheckout(await openProfile(), shop, shopper);
    const hold = await shop.holdCharges();
    await checkout.part('pay').evaluate((button: { click(): void }) => {
      for (let click = 0; click < 10; click += 1) button.click();
    });
    await hold.reached(1);
    await hold.release();
    await expectOnePayment(shop, shopper, checkout, [executed]);
  });

  it('is a new intent for a new order: another key, and a second payment', async () => {
    const shopper = newShopper();
    const checkout = await openCheckout(await openProfile(), shop, shopper);
    await checkout.pay();
    const first = await expectOnePayment(shop, shopper, checkout, [executed]);

    await checkout.part('new-order').click();
    await checkout.waitFor('idle');
    await checkout.pay();
    await checkout.waitFor('done');
    const payments = await shop.payments(shopper.user);
    expect(payments).toHaveLength(2);
    await checkout.waitForBalance(payments[0]!.amount_cents + payments[1]!.amount_cents);
    const last = (await checkout.attempts()).at(-1)!;
    expect(last).toMatchObject(executed);
    expect(last.key).not.toBe(first);
    expect(checkout.sentKeys()).toEqual([first, last.key]);
  });
});

describe('somebody with a keyboard only', () => {
  it('reaches Pay with Tab, pays with Enter, and hears what becomes of it', async () => {
    const shopper = newShopper();
    const checkout = await openCheckout(await openProfile(), shop, shopper);
    // Screen readers announce what changes in a region that was there before.
    const region = checkout
      .part('status')
      .locator('xpath=ancestor-or-self::*[@aria-live="polite" or @role="status"][1]');
    const atFirst = await region.textContent();

    const hold = await shop.holdCharges();
    await tabTo(checkout, 'pay');
    await checkout.page.keyboard.press('Enter');
    await hold.reached(1);
    await checkout.waitFor('sending');
    const whileSending = await region.textContent();
    // Who holds the key down presses it again and again.
    await checkout.page.keyboard.press('Enter');
    await hold.release();
    await expectOnePayment(shop, shopper, checkout, [executed]);

    const afterwards = await region.textContent();
    expect(new Set([atFirst, whileSending, afterwards]).size).toBe(3);
    await tabTo(checkout, 'new-order');
    await checkout.page.keyboard.press('Enter');
    await checkout.waitFor('idle');
  });
});
