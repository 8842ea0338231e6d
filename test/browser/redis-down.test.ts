/** A shop without its Redis: slower perhaps, and never wrong. */

import { Redis } from 'ioredis';
import { beforeAll, describe, expect, it } from 'vitest';
import { redisUrl } from '../support/database.ts';
import { eventually } from '../support/signal.ts';
import { openCheckout } from './checkout.ts';
import { executed, expectOnePayment, lost, replayed } from './one-row.ts';
import { openProfile } from './profile.ts';
import { newShopper, openShop } from './shop.ts';
import type { Shop } from './shop.ts';

let shop: Shop;

beforeAll(async () => {
  shop = await openShop();
});

describe('an answer that is lost while Redis is down', () => {
  it('is replayed all the same, and Redis never hears of it', async () => {
    const profile = await openProfile();
    const before = newShopper();
    const first = await openCheckout(profile, shop, before);
    await first.pay();
    await expectOnePayment(shop, before, first, [executed]);
    const known = await eventually(async () => {
      const keys = await keysInRedis(shop.redisPrefix);
      return keys.length === 1 && keys;
    });

    const shopper = newShopper();
    const checkout = await openCheckout(profile, shop, shopper);
    await checkout.turn('redis');
    await checkout.turn('drop');
    await checkout.pay();
    await expectOnePayment(shop, shopper, checkout, [lost, replayed]);
    expect(await keysInRedis(shop.redisPrefix)).toEqual(known);
  });
});

async function keysInRedis(prefix: string): Promise<readonly string[]> {
  const redis = new Redis(redisUrl());
  try {
    return await redis.keys(`${prefix}*`);
  } finally {
    redis.disconnect();
  }
}
