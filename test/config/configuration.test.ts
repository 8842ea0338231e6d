/** Options, environment and what they decide together; wrong ones stop the server, and secrets stay secret. */

import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createIdempotency } from 'graphql-idempotency';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { DATABASE_URL, refusal, resolve } from './resolve.ts';
import type { Log } from './resolve.ts';

const SECRET = 'hunter2-p%40ss';

describe('unknown names', () => {
  test.each([
    ['ttll', 'ttl'],
    ['Ttl', 'ttl'],
    ['postgress', 'postgres'],
    ['database', undefined],
    ['redisUrl', undefined],
    ['scpoe', 'scope'],
    ['poolsize', 'poolSize'],
    ['keyformat', 'keyFormat'],
    ['toString', undefined],
    ['__proto__x', undefined],
  ])('the option %s is refused, with the nearest name', (name, meant) => {
    const { name: kind, message } = refusal({ [name]: 1 });
    expect(kind).toBe('ConfigurationError');
    expect(message).toContain(`There is no option \`${name}\`.`);
    if (meant === undefined) expect(message).not.toContain(`Did you mean \`${name}\``);
    else expect(message).toContain(`Did you mean \`${meant}\`?`);
  });

  test('a variable is warned of, with the nearest name and without its value', () => {
    const log: Log = { lines: [] };
    resolve(
      {},
      { IDEMPOTENCY_POOLSIZE: SECRET, IDEMPOTENCY_KEYS: SECRET, PATH: 'x', MY_IDEMPOTENCY_TTL: 'x' },
      log,
    );
    expect(log.lines).toHaveLength(2);
    expect(log.lines[0]).toMatch(/IDEMPOTENCY_POOLSIZE means nothing.*Did you mean IDEMPOTENCY_POOL_SIZE\?/);
    expect(log.lines.join()).not.toContain(SECRET);
  });

  test('encryption keys are refused, because nothing would be encrypted', () => {
    const { message } = refusal({}, { IDEMPOTENCY_ENCRYPTION_KEYS: SECRET });
    expect(message).toMatch(/IDEMPOTENCY_ENCRYPTION_KEYS: encryption is not available yet/);
    expect(message).not.toContain(SECRET);
    resolve({}, { IDEMPOTENCY_ENCRYPTION_KEYS: '' });
  });
});

describe('options that are no plain settings', () => {
  test('scope is required', () => {
    for (const scope of [undefined, null, 'alice', {}])
      expect(refusal({ scope }).message).toContain('`scope` is required');
  });

  test.each(['authorizeReplay', 'storeError', 'requestKeys'])('%s is a function', (name) => {
    for (const wrong of ['yes', true, {}, null]) {
      expect(refusal({ [name]: wrong })).toMatchObject({ name: 'ConfigurationError' });
      expect(refusal({ [name]: wrong }).message).toContain(`The option \`${name}\` expects a function`);
    }
    resolve({ [name]: () => undefined });
    resolve({ [name]: undefined });
  });

  test('a logger has info, warn and error', () => {
    for (const wrong of [
      {},
      'console',
      null,
      { info: () => {}, warn: () => {} },
      { info: 1, warn: 1, error: 1 },
    ]) {
      expect(refusal({ logger: wrong }).message).toContain('The option `logger` expects');
    }
    resolve({ logger: console });
  });

  test('keyFormat is "uuid", a RegExp or a function; the variable knows "uuid" alone', () => {
    for (const wrong of ['UUID', 'ulid', 5, {}, null])
      expect(refusal({ keyFormat: wrong }).message).toContain('`keyFormat`');
    expect(refusal({}, { IDEMPOTENCY_KEY_FORMAT: '/x/' }).message).toBe(
      'IDEMPOTENCY_KEY_FORMAT expects "uuid".',
    );
    expect(resolve({}, { IDEMPOTENCY_KEY_FORMAT: 'uuid' }).keyFormat).toBe('uuid');
    expect(resolve({ keyFormat: /x/ }, { IDEMPOTENCY_KEY_FORMAT: 'uuid' }).keyFormat).toEqual(/x/);
    expect(resolve({}, { IDEMPOTENCY_KEY_FORMAT: '' }).keyFormat).toBeUndefined();
  });

  test.each(['postgres', 'redis'])('%s that is nothing of the kind is refused by name', (name) => {
    for (const wrong of [null, 5, true, '', 'localhost', 'http://localhost', () => 1, Symbol('s')]) {
      expect(refusal({ [name]: wrong })).toMatchObject({ name: 'ConfigurationError' });
      expect(refusal({ [name]: wrong }).message).toContain(`The option \`${name}\` expects`);
    }
  });
});

describe('the database', () => {
  const url = (name: string): string => `postgres://${name}@127.0.0.1/x`;

  test('the option wins over IDEMPOTENCY_DATABASE_URL, which wins over DATABASE_URL', () => {
    const both = { IDEMPOTENCY_DATABASE_URL: url('own'), DATABASE_URL: url('usual') };
    const chosen = (options: object, environment: Record<string, string>) =>
      resolve({ ...options }, { IDEMPOTENCY_DATABASE_URL: '', ...environment }).postgres;
    expect(chosen({ postgres: url('option') }, both)).toEqual({
      kind: 'config',
      config: { connectionString: url('option') },
    });
    expect(chosen({}, both)).toEqual({ kind: 'config', config: { connectionString: url('own') } });
    expect(chosen({}, { DATABASE_URL: url('usual') })).toEqual({
      kind: 'config',
      config: { connectionString: url('usual') },
    });
    expect(chosen({}, { IDEMPOTENCY_DATABASE_URL: 'postgresql://x/y' })).toMatchObject({ kind: 'config' });
  });

  test('a pool is taken for a pool, and a pool’s configuration for one', () => {
    const pool = new pg.Pool();
    onTestFinished(() => pool.end());
    expect(resolve({ postgres: pool }).postgres).toEqual({ kind: 'pool', pool });
    const config = { host: 'h', max: 3 };
    expect(resolve({ postgres: config }).postgres).toEqual({ kind: 'config', config });
  });

  const none = { IDEMPOTENCY_DATABASE_URL: '', DATABASE_URL: '' };
  test.each(['development', 'test'])('without one, NODE_ENV=%s has the embedded database', (mode) => {
    expect(resolve({}, { ...none, NODE_ENV: mode }).postgres).toEqual({ kind: 'embedded' });
    expect(resolve({}, { NODE_ENV: mode }).postgres).toMatchObject({ kind: 'config' });
  });

  test.each(['production', 'staging', 'Test', '', undefined])(
    'without one, NODE_ENV=%s stops the server, which names both ways out',
    (mode) => {
      const { name, message } = refusal({}, { ...none, NODE_ENV: mode });
      expect(name).toBe('ConfigurationError');
      expect(message).toMatch(/IDEMPOTENCY_DATABASE_URL.*DATABASE_URL.*embedded: true/);
      expect(resolve({ embedded: true }, { ...none, NODE_ENV: mode }).postgres).toEqual({ kind: 'embedded' });
      expect(resolve({}, { ...none, NODE_ENV: mode, IDEMPOTENCY_EMBEDDED: 'true' }).postgres).toEqual({
        kind: 'embedded',
      });
    },
  );

  test('a URL always wins over the embedded database', () => {
    expect(resolve({ embedded: true }).postgres).toEqual({
      kind: 'config',
      config: { connectionString: DATABASE_URL },
    });
    expect(resolve({ embedded: true }, { ...none, DATABASE_URL: url('usual') }).postgres.kind).toBe('config');
  });
});

describe('Redis', () => {
  test('the option wins over IDEMPOTENCY_REDIS_URL, which wins over REDIS_URL; none is none', () => {
    const both = { IDEMPOTENCY_REDIS_URL: 'redis://own', REDIS_URL: 'redis://usual' };
    expect(resolve({ redis: 'rediss://option' }, both).redis).toEqual({
      kind: 'url',
      url: 'rediss://option',
    });
    expect(resolve({}, both).redis).toEqual({ kind: 'url', url: 'redis://own' });
    expect(resolve({}, { ...both, IDEMPOTENCY_REDIS_URL: '' }).redis).toEqual({
      kind: 'url',
      url: 'redis://usual',
    });
    expect(resolve().redis).toEqual({ kind: 'none' });
    expect(resolve({ redis: false }, both).redis).toEqual({ kind: 'none' });
    expect(resolve({ redis: { host: 'h' } }, both).redis).toEqual({
      kind: 'options',
      options: { host: 'h' },
    });
    const client = new Redis({ lazyConnect: true });
    onTestFinished(() => client.disconnect());
    expect(resolve({ redis: client }, both).redis).toEqual({ kind: 'client', client });
  });
});

describe('secrets', () => {
  const wrong = {
    IDEMPOTENCY_DATABASE_URL: `mysql://user:${SECRET}@host/db`,
    DATABASE_URL: `user:${SECRET}@host:99999999/db`,
    IDEMPOTENCY_REDIS_URL: `http://:${SECRET}@host`,
    REDIS_URL: `redis//:${SECRET}@host`,
  };
  test.each(Object.entries(wrong))('a wrong %s is named, and never printed', (name, value) => {
    const error = refusal(
      {},
      { IDEMPOTENCY_DATABASE_URL: name === 'DATABASE_URL' ? '' : DATABASE_URL, [name]: value },
    );
    expect(error.message).toContain(`${name} expects a URL`);
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(SECRET);
    for (const option of ['postgres', 'redis']) {
      expect(inspect(refusal({ [option]: value }), { depth: 10, showHidden: true })).not.toContain(SECRET);
    }
  });

  test('a database that cannot be reached is said without its password', async () => {
    const lines: unknown[] = [];
    const write = (...line: unknown[]): void => void lines.push(line);
    const urls = [`postgres://user:${SECRET}@127.0.0.1:1/db`, `postgres://user:%ZZ${SECRET}@127.0.0.1:1/db`];
    for (const postgres of urls) {
      const idempotency = createIdempotency({
        scope: () => 'alice',
        postgres,
        redis: `redis://:${SECRET}@127.0.0.1:1`,
        logger: { info: write, warn: write, error: write },
      });
      onTestFinished(() => idempotency.close());
      const error = await idempotency.open().catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'ConfigurationError' });
      expect((error as Error).message).toContain('Postgres cannot be reached');
      const printed = inspect([error, lines], { depth: 20, showHidden: true });
      expect(printed).not.toContain(SECRET);
      expect(printed).not.toContain(decodeURIComponent(SECRET));
    }
  });
});

describe('resolved once', () => {
  const saved = { ...process.env };
  beforeEach(() => void vi.stubEnv('IDEMPOTENCY_TTL', 'PT1H'));
  afterEach(() => {
    vi.unstubAllEnvs();
    expect(process.env['IDEMPOTENCY_TTL']).toBe(saved['IDEMPOTENCY_TTL']);
  });

  test('the configuration is frozen', () => {
    const config = resolve();
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.settings)).toBe(true);
    expect(() => Object.assign(config.settings, { ttl: 1 })).toThrow(TypeError);
  });

  test('createIdempotency reads the environment of its process, and stops at once where it is wrong', () => {
    const make = () => createIdempotency({ scope: () => 'alice', postgres: DATABASE_URL, redis: false });
    make();
    vi.stubEnv('IDEMPOTENCY_TTL', 'forever');
    expect(make).toThrow(/^IDEMPOTENCY_TTL expects an ISO 8601 duration/);
  });
});
