/** Pages that are reloaded and closed before there is an answer, and two of them at once. */

import { beforeAll, describe, expect, it } from 'vitest';
import { openCheckout } from './checkout.ts';
import { executed, expectOnePayment } from './one-row.ts';
import { openProfile } from './profile.ts';
import { newShopper, openShop } from './shop.ts';
import type { Shop } from './shop.ts';

const longerThanATest = 60_000;
let shop: Shop;

beforeAll(async () => {
  shop = await openShop();
});

describe('a page', () => {
  it('that is reloaded in the middle of a retry goes on with the same key', async () => {
    const shopper = newShopper();
    const checkout = await openCheckout(await openProfile(), shop, shopper);
    await shop.trouble({ downForMs: longerThanATest });
    await checkout.pay();
    await checkout.waitFor('retrying');
    const [before] = await checkout.attempts();

    await checkout.page.reload();
    await checkout.waitFor('retrying');
    await shop.trouble({ downForMs: 0 });
    const key = await expectOnePayment(shop, shopper, checkout);
    expect(key).toBe(before!.key);
    expect((await checkout.attempts()).at(-1)).toMatchObject(executed);

    // What is answered is forgotten.
    const sent = checkout.sentKeys().length;
    await checkout.page.reload();
    await checkout.waitFor('done');
    await checkout.waitForBalance((await shop.payments(shopper.user))[0]!.amount_cents);
    expect(await checkout.attempts()).toEqual([]);
    expect(checkout.sentKeys()).toHaveLength(sent);
  });

  it('that was closed in the middle of a charge leaves its key to the next one', async () => {
    const shopper = newShopper();
    const profile = await openProfile();
    const closed = await openCheckout(profile, shop, shopper);
    const hold = await shop.holdCharges();
    await closed.pay();
    await hold.reached(1);
    await closed.page.close();
    await shop.kill();
    await hold.release();
    await shop.start();

    const next = await openCheckout(profile, shop, shopper);
    const key = await expectOnePayment(shop, shopper, next);
    expect([key]).toEqual(closed.sentKeys());
  });
});

describe('two tabs with the same cart', () => {
  it('that pay at the same time pay once: one executes, the other is answered with that', async () => {
    const shopper = newShopper();
    const profile = await openProfile();
    const tabs = [await openCheckout(profile, shop, shopper), await openCheckout(profile, shop, shopper)];
    const hold = await shop.holdCharges();
    await Promise.all(tabs.map((tab) => tab.pay()));
    await hold.reached(1);
    // The other one is told that it is in progress.
    await Promise.race(tabs.map((tab) => tab.waitFor('retrying')));
    await hold.release();

    const keys = [];
    for (const tab of tabs) keys.push(await expectOnePayment(shop, shopper, tab));
    expect(keys[0]).toBe(keys[1]);
    const served = await Promise.all(tabs.map((tab) => tab.served()));
    expect(new Set(served)).toEqual(new Set(['executed', 'replayed']));
  });

  it('pay once when one is closed before it has an answer, and the other goes on', async () => {
    const shopper = newShopper();
    const profile = await openProfile();
    const first = await openCheckout(profile, shop, shopper);
    const second = await openCheckout(profile, shop, shopper);
    await shop.trouble({ downForMs: longerThanATest });
    await first.pay();
    await first.waitFor('retrying');
    await first.page.close();
    await shop.trouble({ downForMs: 0 });

    await second.pay();
    const key = await expectOnePayment(shop, shopper, second, [executed]);
    expect(new Set(first.sentKeys())).toEqual(new Set([key]));
  });
});
