/** The settings and options of mode LEASE and of waiting, checked by themselves and against each other. */

import { buildSchema } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { IdempotencyOptions } from 'graphql-idempotency';
import { describe, expect, test } from 'vitest';
import { ConfigurationError } from '../../src/errors/configuration-error.ts';
import { typeDefs } from '../../src/directive/type-defs.ts';
import { DATABASE_URL, refusal, resolve } from './resolve.ts';

const MIN = 60_000;

const SDL = `
  type Query { q: Int }
  type Mutation {
    pay: Int @idempotent(mode: LEASE)
    payout: Int @idempotent(mode: LEASE)
    write: Int @idempotent
    free: Int
  }`;

/** Guards a schema with these options, and returns what that is refused with. */
function refusalOf(options: Partial<IdempotencyOptions<object>>, sdl = SDL): string | undefined {
  try {
    createIdempotency({
      scope: () => 'alice',
      postgres: DATABASE_URL,
      redis: false,
      logger: { info() {}, warn() {}, error() {} },
      ...options,
    }).applyTo(buildSchema(`${typeDefs} ${sdl}`, { assumeValidSDL: true }));
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message;
  }
}

describe('a lease', () => {
  test('is longer than a claim may take: it would be over before the claim is answered', () => {
    for (const lease of [1000, 2000]) {
      expect(refusalOf({ lease })).toMatch(
        /`lease` \(\d+ ms\) must be longer than `claimTimeout` \(2000 ms\): otherwise a lease may be over/,
      );
    }
    expect(refusalOf({ lease: 2001 })).toBeUndefined();
    expect(refusalOf({ claimTimeout: 'PT30S' })).toContain('`lease`');
  });

  test('is shorter than a record lives, unless every field says how long that is', () => {
    const lease = { lease: 2 * MIN, attemptTimeout: 3 * MIN };
    expect(refusalOf({ ...lease, ttl: 2 * MIN })).toMatch(
      /`ttl` \(120000 ms\) must be longer than `lease` \(120000 ms\)/,
    );
    expect(refusalOf({ ...lease, ttl: 2 * MIN + 1 })).toBeUndefined();
    const own = SDL.replaceAll('mode: LEASE', 'mode: LEASE, ttl: "PT3M"');
    expect(refusalOf({ ...lease, ttl: 2 * MIN }, own)).toBeUndefined();
  });

  test('concerns only schemas that have fields in mode LEASE', () => {
    const without = SDL.replaceAll('mode: LEASE', 'inFlight: WAIT');
    expect(refusalOf({ lease: 1000 }, without)).toBeUndefined();
    expect(refusalOf({ ttl: 31_000, lease: 40_000 }, without)).toBeUndefined();
  });

  test('is renewed at least twice before it ends', () => {
    expect(refusal({ renewInterval: 15_001 }).message).toMatch(
      /`renewInterval` \(15001 ms\) must be at most half of `lease` \(30000 ms\)/,
    );
    expect(refusal({ lease: 10_000, renewInterval: 5001 }).message).toContain('`renewInterval`');
    expect(resolve({ renewInterval: 15_000 }).settings.renewInterval).toBe(15_000);
    expect(resolve({ renewInterval: 1 }).settings.renewInterval).toBe(1);
    expect(resolve({ renewInterval: 0 }).settings.renewInterval).toBe(0);
  });

  test('is shorter than an attempt may run: otherwise none is ever renewed', () => {
    for (const attemptTimeout of [1, 29_999, 30_000]) {
      expect(refusal({ attemptTimeout }).message).toMatch(
        /`attemptTimeout` \(\d+ ms\) must be longer than `lease` \(30000 ms\)/,
      );
    }
    expect(resolve({ attemptTimeout: 30_001 }).settings.attemptTimeout).toBe(30_001);
    expect(refusal({ lease: 'PT10M' }).message).toContain('`attemptTimeout`');
  });
});

test.each([
  ['maxAttempts', 0],
  ['maxAttempts', 1.5],
  ['recoverBatchSize', 0],
  ['waitTimeout', 0],
  ['recoverInterval', -1],
  ['lease', 9],
])('%s refuses %d', (name, value) => {
  expect(refusal({ [name]: value }).message).toContain(`The option \`${name}\` expects`);
});

test('recoverInterval and renewInterval may be 0', () => {
  expect(resolve({ recoverInterval: 0 }).settings.recoverInterval).toBe(0);
  expect(resolve({}, { IDEMPOTENCY_RECOVER_INTERVAL: '0' }).settings.recoverInterval).toBe(0);
});

test.each(['releaseError', 'clientSignal'])('the option %s expects a function', (name) => {
  for (const wrong of [null, 'yes', 1, {}, true]) {
    const error = refusal({ [name]: wrong });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toBe(`The option \`${name}\` expects a function.`);
  }
  resolve({ [name]: () => undefined });
  resolve({ [name]: undefined });
});

describe('recover', () => {
  test.each([
    [null],
    ['Mutation.pay'],
    [() => ({ outcome: 'unknown' })],
    [{ 'Mutation.pay': null }],
    [{ 'Mutation.pay': 'unknown' }],
    [{ 'Mutation.pay': undefined }],
    [{ 'Mutation.pay': { outcome: 'unknown' } }],
  ])('%j is refused, with what is expected', (recover) => {
    const error = refusal({ recover });
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toMatch(
      /^The option `recover` expects an object of functions by field, for example/,
    );
  });

  test('functions by field, and none at all, are accepted', () => {
    resolve({ recover: {} });
    resolve({ recover: { 'Mutation.pay': () => ({ outcome: 'unknown' }) } });
  });

  test.each([
    ['Mutation.payuot', / Did you mean Mutation\.payout\?$/],
    ['mutation.pay', / Did you mean Mutation\.pay\?$/],
    ['pay', /no field with mode: LEASE/],
    ['Query.q', /no field with mode: LEASE/],
    ['Mutation.write', /no field with mode: LEASE/],
    ['Mutation.free', /no field with mode: LEASE/],
    ['', /no field with mode: LEASE/],
  ])('of "%s", which is no field in mode LEASE, the nearest one is named', (coordinate, reason) => {
    const message = refusalOf({ recover: { [coordinate]: () => ({ outcome: 'unknown' }) } });
    expect(message).toContain(`The option \`recover\` names ${coordinate}`);
    expect(message).toMatch(reason);
  });

  test('a field in mode LEASE is accepted', () => {
    const recover = { 'Mutation.payout': () => ({ outcome: 'unknown' as const }) };
    expect(refusalOf({ recover })).toBeUndefined();
  });
});
