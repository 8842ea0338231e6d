/** Every plain setting: its default, its option, its variable, and what it refuses. */

import { describe, expect, test } from 'vitest';
import { environmentName, settings } from '../../src/config/settings.ts';
import type { SettingKind, SettingName } from '../../src/config/settings.ts';
import { refusal, resolve } from './resolve.ts';

const names = Object.keys(settings) as SettingName[];
const ofKind = (...kinds: SettingKind[]): SettingName[] =>
  names.filter((name) => kinds.includes(settings[name].kind));

/** Durations that other settings don't leave room for six seconds. */
const particular: Partial<Record<SettingName, number>> = {
  ttl: 7_200_000,
  inboxTtl: 7_200_000,
  lockTimeout: 1_500,
  attemptTimeout: 60_000,
};

/** A value that is valid, and not the default; as an option and as a variable. */
function another(name: SettingName): { option: unknown; variable: string; value: unknown } {
  const { kind, default: usual } = settings[name];
  switch (kind) {
    case 'duration': {
      // Longer than any other setting demands of it, and shorter than any allows.
      const value = particular[name] ?? 6_000;
      return { option: value, variable: `PT${value / 1000}S`, value };
    }
    case 'count':
      return { option: 7, variable: '7', value: 7 };
    case 'flag':
      return { option: !usual, variable: String(!usual), value: !usual };
    case 'text':
      return { option: 'another', variable: 'another', value: 'another' };
  }
}

test('the names of the variables are those of the options in capitals', () => {
  expect(environmentName('ttl')).toBe('IDEMPOTENCY_TTL');
  expect(environmentName('reservedPoolSize')).toBe('IDEMPOTENCY_RESERVED_POOL_SIZE');
  expect(new Set(names.map(environmentName)).size).toBe(names.length);
});

describe.each(names)('%s', (name) => {
  const variable = environmentName(name);
  const { option, variable: text, value } = another(name);

  test('has its documented default', () => {
    expect(resolve().settings[name]).toBe(settings[name].default);
    expect(value).not.toBe(settings[name].default);
    expect(settings[name].about.length).toBeGreaterThan(10);
  });

  test('is set by its option and by its variable; the option wins', () => {
    expect(resolve({ [name]: option }).settings[name]).toBe(value);
    expect(resolve({}, { [variable]: text }).settings[name]).toBe(value);
    expect(resolve({ [name]: settings[name].default }, { [variable]: text }).settings[name]).toBe(
      settings[name].default,
    );
  });

  test('an option that is undefined, and a variable that is empty, say nothing', () => {
    expect(resolve({ [name]: undefined }, { [variable]: text }).settings[name]).toBe(value);
    expect(resolve({}, { [variable]: '' }).settings[name]).toBe(settings[name].default);
  });

  test('refuses null and values of another type, by its name', () => {
    for (const wrong of [null, {}, [], Symbol('s'), () => 1, 10n]) {
      const { name: kind, message } = refusal({ [name]: wrong });
      expect(kind).toBe('ConfigurationError');
      expect(message).toContain(`The option \`${name}\` expects`);
    }
  });
});

describe.each(ofKind('duration', 'count'))('%s', (name) => {
  const variable = environmentName(name);

  test.each([
    Number.NaN,
    -1,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    1e300,
    'abc',
    '',
    ' 5',
    '0x10',
    '1e3',
    '-PT1H',
    true,
  ])('refuses %s', (wrong) => {
    expect(refusal({ [name]: wrong }).message).toContain(`The option \`${name}\` expects`);
    if (wrong === '') return;
    const { name: kind, message } = refusal({}, { [variable]: String(wrong) });
    expect(kind).toBe('ConfigurationError');
    expect(message).toMatch(new RegExp(`^${variable} expects`));
  });

  test('refuses what is below its minimum, and accepts the minimum', () => {
    const { min = 0 } = settings[name] as { readonly min?: number };
    expect(refusal({ [name]: min - 1 }).message).toContain(`at least ${min}`);
    expect(refusal({}, { [variable]: min === 0 ? '-1' : '0' }).message).toContain(variable);
    // Some of them are also measured against another setting.
    const shorter =
      {
        ttl: { transactionTimeout: 1 },
        inboxTtl: { transactionTimeout: 1 },
        commitTimeout: { lockTimeout: 1 },
        attemptTimeout: { lease: settings.lease.min },
      }[name as string] ?? {};
    const [than = min - 1] = Object.values(shorter);
    expect(resolve({ ...shorter, [name]: than + 1 }).settings[name]).toBe(than + 1);
  });
});

test.each(ofKind('count'))('%s is a whole number', (name) => {
  for (const wrong of [1.5, 2 ** 53, '5'])
    expect(refusal({ [name]: wrong }).message).toContain('whole number');
  expect(refusal({}, { [environmentName(name)]: '99999999999999999999' }).message).toContain('whole number');
});

test.each(ofKind('flag'))('%s is true or false', (name) => {
  const read = (text: string): unknown => resolve({}, { [environmentName(name)]: text }).settings[name];
  expect([read('true'), read('1'), read('false'), read('0')]).toEqual([true, true, false, false]);
  for (const wrong of ['yes', 'TRUE', 'on', '2', ' true', 'constructor', '__proto__']) {
    expect(refusal({}, { [environmentName(name)]: wrong }).message).toMatch(/expects true or false/);
  }
  for (const wrong of ['true', 1, 0])
    expect(refusal({ [name]: wrong }).message).toMatch(/expects true or false/);
});

test.each(ofKind('text').filter((name) => settings[name].default !== ''))('%s is not empty', (name) => {
  expect(refusal({ [name]: '' }).message).toBe(`The option \`${name}\` expects text.`);
});

describe('durations', () => {
  const forms: Readonly<Record<string, number>> = {
    PT24H: 86_400_000,
    P1D: 86_400_000,
    P1W: 604_800_000,
    P1DT12H: 129_600_000,
    PT90M: 5_400_000,
    'PT86400.5S': 86_400_500,
  };
  test.each(Object.entries(forms))('%s is %i ms, in code and in the environment', (text, ms) => {
    expect(resolve({ ttl: text }).settings.ttl).toBe(ms);
    expect(resolve({}, { IDEMPOTENCY_TTL: text }).settings.ttl).toBe(ms);
    expect(resolve({ ttl: ms }).settings.ttl).toBe(ms);
    expect(resolve({}, { IDEMPOTENCY_TTL: String(ms) }).settings.ttl).toBe(ms);
  });

  test.each(['P1Y', 'P1M', 'P', 'PT', '1 day', '24h', 'P-1D', 'PT1H30', 'pt1h', 'P1D PT1H'])(
    '%s is refused',
    (text) => {
      expect(refusal({ ttl: text }).message).toContain('The option `ttl` expects');
      expect(refusal({}, { IDEMPOTENCY_TTL: text }).message).toContain('IDEMPOTENCY_TTL expects');
    },
  );

  test('a timeout that no timer can hold is refused; a retention of that length is not', () => {
    expect(refusal({ transactionTimeout: 2 ** 31, ttl: 'P365D' }).message).toContain('`transactionTimeout`');
    expect(resolve({ ttl: 2 ** 31 }).settings.ttl).toBe(2 ** 31);
    expect(refusal({ ttl: 'P36501D' }).message).toContain('`ttl`');
  });
});

describe('settings are checked against each other', () => {
  test('ttl is longer than transactionTimeout', () => {
    for (const ttl of [29_999, 30_000]) {
      expect(refusal({ ttl }).message).toMatch(
        /`ttl` \(\d+ ms\) must be longer than `transactionTimeout` \(30000 ms\)/,
      );
    }
    expect(resolve({ ttl: 30_001 }).settings.ttl).toBe(30_001);
    expect(refusal({ transactionTimeout: 'PT1H' }, { IDEMPOTENCY_TTL: 'PT1H' }).message).toContain('`ttl`');
  });

  test('commitTimeout is longer than lockTimeout', () => {
    expect(refusal({ commitTimeout: 2000 }).message).toContain('`commitTimeout`');
    expect(refusal({ lockTimeout: 5000 }).message).toContain('`commitTimeout`');
  });
});
