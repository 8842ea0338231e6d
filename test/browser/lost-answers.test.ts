/** Answers that get lost on their way, or are long in coming, and a browser that is offline meanwhile. */

import { beforeAll, describe, expect, it } from 'vitest';
import { openCheckout } from './checkout.ts';
import { stopClock } from './clock.ts';
import { executed, expectOnePayment, lost, replayed } from './one-row.ts';
import { openProfile } from './profile.ts';
import { newShopper, openShop } from './shop.ts';
import type { Shop } from './shop.ts';

let shop: Shop;

beforeAll(async () => {
  shop = await openShop();
});

describe('an answer that is lost', () => {
  it('is asked for again under the same key, and replayed', async () => {
    const shopper = newShopper();
    const checkout = await openCheckout(await openProfile(), shop, shopper);
    await checkout.turn('drop');
    await checkout.pay();
    await expectOnePayment(shop, shopper, checkout, [lost, replayed]);
  });

  it('is waited for while the server is slow', async () => {
    const shopper = newShopper();
    const checkout = await openCheckout(await openProfile(), shop, shopper);
    await checkout.turn('slow');
    await checkout.pay();
    await checkout.waitFor('sending');
    await expectOnePayment(shop, shopper, checkout, [executed]);
  });
});

describe('a browser that is offline', () => {
  it('sends nothing more until it is online again, and then the same key', async () => {
    const shopper = newShopper();
    const profile = await openProfile();
    const clock = await stopClock(profile);
    const checkout = await openCheckout(profile, shop, shopper);
    await profile.setOffline(true);
    await checkout.pay();
    await checkout.waitFor('retrying');
    // Beyond any first wait.
    await clock.pass(5_000);
    await checkout.quiet();
    expect(checkout.sentKeys()).toHaveLength(1);

    await profile.setOffline(false);
    await expectOnePayment(shop, shopper, checkout, [lost, executed]);
  });

  it('gets the first answer when it went offline in the middle of the charge', async () => {
    const shopper = newShopper();
    const profile = await openProfile();
    const checkout = await openCheckout(profile, shop, shopper);
    const hold = await shop.holdCharges();
    await checkout.pay();
    await hold.reached(1);
    // Chromium lets what is under way go on: it is the server that loses the answer.
    await shop.trouble({ dropResponses: 1 });
    await profile.setOffline(true);
    await hold.release();
    await checkout.waitFor('retrying');
    expect(await shop.payments(shopper.user)).toHaveLength(1);

    await profile.setOffline(false);
    await expectOnePayment(shop, shopper, checkout, [lost, replayed]);
  });
});
