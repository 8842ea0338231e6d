/** Servers that are killed in the middle of a charge, or down when it is sent. */

import { beforeAll, describe, expect, it } from 'vitest';
import { openCheckout } from './checkout.ts';
import { stopClock } from './clock.ts';
import { executed, expectOnePayment, lost } from './one-row.ts';
import { openProfile } from './profile.ts';
import { newShopper, openShop } from './shop.ts';
import type { Shop } from './shop.ts';

let shop: Shop;

beforeAll(async () => {
  shop = await openShop();
});

describe('a server', () => {
  it('that is killed in the middle of a charge has charged nothing, and charges once when it is back', async () => {
    const shopper = newShopper();
    const profile = await openProfile();
    const clock = await stopClock(profile);
    const checkout = await openCheckout(profile, shop, shopper);
    const hold = await shop.holdCharges();
    await checkout.pay();
    await hold.reached(1);
    await shop.kill();
    await checkout.waitFor('retrying');
    await hold.release();
    expect(await shop.payments(shopper.user)).toEqual([]);
    await shop.start();
    await clock.run();
    await expectOnePayment(shop, shopper, checkout, [lost, executed]);
  });

  it('that is down is asked again until it is back', async () => {
    const shopper = newShopper();
    const profile = await openProfile();
    const clock = await stopClock(profile);
    const checkout = await openCheckout(profile, shop, shopper);
    await checkout.turn('down');
    await checkout.pay();
    await checkout.waitFor('retrying');
    await shop.answers();
    await clock.run();
    await expectOnePayment(shop, shopper, checkout);
    expect((await checkout.attempts()).length).toBe(2);
  });

  it('that is down for too long leaves it unknown, and is asked again with the same key', async () => {
    const shopper = newShopper();
    const profile = await openProfile();
    const clock = await stopClock(profile);
    const checkout = await openCheckout(profile, shop, shopper);
    await shop.trouble({ downForMs: 60_000 });
    await checkout.pay();
    await checkout.waitFor('retrying');
    // Beyond the deadline of the retries.
    await clock.pass(61_000);
    await checkout.waitFor('unknown');
    expect(await shop.payments(shopper.user)).toEqual([]);

    await shop.trouble({ downForMs: 0 });
    await checkout.pay();
    await expectOnePayment(shop, shopper, checkout);
    expect((await checkout.attempts()).at(-1)).toMatchObject(executed);
  });
});
