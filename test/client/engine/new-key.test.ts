/** Keys are random on every platform that has a source of random numbers, and nowhere else. */

import { randomFillSync } from 'node:crypto';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { newKey } from 'graphql-idempotency/client';

const UUID_4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const getRandomValues = (bytes: Uint8Array): Uint8Array => randomFillSync(bytes);

afterEach(() => vi.unstubAllGlobals());

describe('a key', () => {
  test.each([
    ['where there is randomUUID', undefined],
    ['on a page that came over http', { getRandomValues }],
  ])('is a UUID of version 4, and another one each time, %s', (_, crypto) => {
    if (crypto !== undefined) vi.stubGlobal('crypto', crypto);
    const keys = Array.from({ length: 200 }, newKey);
    for (const key of keys) expect(key).toMatch(UUID_4);
    expect(new Set(keys).size).toBe(200);
  });

  test('has every other bit of it random', () => {
    vi.stubGlobal('crypto', { getRandomValues: (bytes: Uint8Array) => bytes.fill(0) });
    expect(newKey()).toBe('00000000-0000-4000-8000-000000000000');
    vi.stubGlobal('crypto', { getRandomValues: (bytes: Uint8Array) => bytes.fill(255) });
    expect(newKey()).toBe('ffffffff-ffff-4fff-bfff-ffffffffffff');
  });

  test.each([undefined, {}])('is not made without a secure source: %j', (crypto) => {
    vi.stubGlobal('crypto', crypto);
    expect(() => newKey()).toThrow(/pass newKey/);
  });
});
