/** The configuration: options and environment, resolved once, checked against each other, frozen. */

import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { Pool, PoolConfig } from 'pg';
import { ConfigurationError } from '../errors/configuration-error.ts';
import type { Logger } from './logger.ts';
import { nearestName } from './nearest-name.ts';
import { optionNames } from './options.ts';
import type { IdempotencyOptions, KeyFormat } from './options.ts';
import { readSetting } from './read-setting.ts';
import { environmentName, settings } from './settings.ts';
import type { SettingName, Settings } from './settings.ts';
import type { TransactionRunner } from './transaction-runner.ts';

export type PostgresSource =
  | { readonly kind: 'pool'; readonly pool: Pool }
  | { readonly kind: 'config'; readonly config: PoolConfig }
  | { readonly kind: 'embedded' };

export type RedisSource =
  | { readonly kind: 'none' }
  | { readonly kind: 'client'; readonly client: Redis | Cluster }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'options'; readonly options: RedisOptions };

export interface Config {
  readonly settings: Settings;
  readonly keyFormat: KeyFormat | undefined;
  readonly postgres: PostgresSource;
  /** Where transactions are a library's. */
  readonly transaction: TransactionRunner | undefined;
  readonly redis: RedisSource;
  readonly logger: Logger;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Resolves the configuration. Options win over the environment.
 *
 * @throws ConfigurationError naming the option or variable and what it expects; never its value, where that
 * may be a secret.
 */
export function resolveConfig<TContext>(
  options: IdempotencyOptions<TContext>,
  environment: Environment,
): Config {
  refuseUnknown(options);
  const logger = loggerFrom(options.logger);
  warnOfUnknown(environment, logger);
  if (typeof options.scope !== 'function') {
    throw new ConfigurationError(
      'The option `scope` is required: a function that says whose key it is, for example (context) => context.user.id.',
    );
  }
  checkCallbacks(options);
  const resolved = Object.fromEntries(
    (Object.keys(settings) as SettingName[]).map((name) => [
      name,
      readSetting(name, options[name], environment[environmentName(name)]),
    ]),
  ) as unknown as Settings;
  checkTogether(resolved);
  return Object.freeze({
    settings: Object.freeze(resolved),
    keyFormat: keyFormatFrom(options.keyFormat, environment['IDEMPOTENCY_KEY_FORMAT']),
    postgres: postgresFrom(options.postgres, environment, resolved),
    transaction: options.transaction,
    redis: redisFrom(options.redis, environment),
    logger,
  });
}

function refuseUnknown(options: object): void {
  const known = [...optionNames, ...Object.keys(settings)];
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const meant = nearestName(name, known);
    throw new ConfigurationError(
      `There is no option \`${name}\`.${meant === undefined ? '' : ` Did you mean \`${meant}\`?`}`,
    );
  }
}

function loggerFrom(option: Logger | undefined): Logger {
  if (option === undefined) return console;
  const methods = ['info', 'warn', 'error'] as const;
  if (typeof option === 'object' && methods.every((name) => typeof option?.[name] === 'function'))
    return option;
  throw new ConfigurationError(
    'The option `logger` expects an object with the methods info, warn and error, for example console.',
  );
}

function checkCallbacks(options: IdempotencyOptions<never>): void {
  for (const name of callbackNames) {
    if (options[name] === undefined || typeof options[name] === 'function') continue;
    throw new ConfigurationError(`The option \`${name}\` expects a function.`);
  }
  const { recover = {} } = options;
  if (typeof recover === 'object' && recover !== null) {
    const wrong = Object.entries(recover).find(([, callback]) => typeof callback !== 'function');
    if (wrong === undefined) return;
  }
  throw new ConfigurationError(
    "The option `recover` expects an object of functions by field, for example { 'Mutation.payout': async (record) => ({ outcome: 'unknown' }) }.",
  );
}

const callbackNames = [
  'authorizeReplay',
  'storeError',
  'releaseError',
  'requestKeys',
  'clientSignal',
  'transaction',
] as const;

const otherVariables = ['IDEMPOTENCY_DATABASE_URL', 'IDEMPOTENCY_REDIS_URL', 'IDEMPOTENCY_KEY_FORMAT'];

function warnOfUnknown(environment: Environment, logger: Logger): void {
  // Ignoring this one would store results unencrypted where somebody asked for encryption.
  if (environment['IDEMPOTENCY_ENCRYPTION_KEYS']) {
    throw new ConfigurationError('IDEMPOTENCY_ENCRYPTION_KEYS: encryption is not available yet. Unset it.');
  }
  const known = [...otherVariables, ...(Object.keys(settings) as SettingName[]).map(environmentName)];
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('IDEMPOTENCY_') || known.includes(name)) continue;
    const meant = nearestName(name, known);
    logger.warn(
      `The environment variable ${name} means nothing to graphql-idempotency.${meant === undefined ? '' : ` Did you mean ${meant}?`}`,
    );
  }
}

/**
 * Checks what matters only where a field has `mode: LEASE`: its own `ttl` is checked with the field.
 *
 * @throws ConfigurationError naming the settings that contradict each other.
 */
export function checkLeases(resolved: Settings, everyFieldHasTtl: boolean): void {
  const longer = comparison(resolved);
  longer('lease', 'claimTimeout', 'otherwise a lease may be over before its claim is answered');
  if (!everyFieldHasTtl) longer('ttl', 'lease', 'a record must outlive the attempts whose outcome it keeps');
}

function comparison(resolved: Settings): (name: SettingName, than: SettingName, why: string) => void {
  return (name, than, why) => {
    if (resolved[name] > resolved[than]) return;
    throw new ConfigurationError(
      `The setting \`${name}\` (${resolved[name]} ms) must be longer than \`${than}\` (${resolved[than]} ms): ${why}.`,
    );
  };
}

function checkTogether(resolved: Settings): void {
  const longer = comparison(resolved);
  longer('ttl', 'transactionTimeout', 'a record must outlive every attempt that may still be under way');
  longer('inboxTtl', 'transactionTimeout', 'a record must outlive every attempt that may still be under way');
  longer('attemptTimeout', 'lease', 'otherwise no lease is ever renewed');
  if (resolved.renewInterval * 2 > resolved.lease) {
    throw new ConfigurationError(
      `The setting \`renewInterval\` (${resolved.renewInterval} ms) must be at most half of \`lease\` (${resolved.lease} ms): otherwise one renewal that fails loses the lease.`,
    );
  }
  longer('commitTimeout', 'lockTimeout', 'otherwise a wait for another transaction looks like a lost COMMIT');
}

function keyFormatFrom(option: KeyFormat | undefined, variable: string | undefined): KeyFormat | undefined {
  const format: unknown = option === undefined ? variable || undefined : option;
  if (format === undefined || format === 'uuid' || format instanceof RegExp || typeof format === 'function') {
    return format as KeyFormat | undefined;
  }
  throw new ConfigurationError(
    option === undefined
      ? 'IDEMPOTENCY_KEY_FORMAT expects "uuid".'
      : 'The option `keyFormat` expects "uuid", a RegExp or a function.',
  );
}

function postgresFrom(
  option: IdempotencyOptions<never>['postgres'],
  environment: Environment,
  { embedded }: Settings,
): PostgresSource {
  if (typeof option === 'object' && option !== null) {
    return 'connect' in option && typeof option.connect === 'function'
      ? { kind: 'pool', pool: option as Pool }
      : { kind: 'config', config: option as PoolConfig };
  }
  const [name, url] = firstOf(option, 'postgres', environment, ['IDEMPOTENCY_DATABASE_URL', 'DATABASE_URL']);
  if (url !== undefined) {
    checkUrl(name, url, ['postgres:', 'postgresql:'], 'postgres://user@host:5432/database');
    return { kind: 'config', config: { connectionString: url } };
  }
  const mode = environment['NODE_ENV'];
  if (embedded || mode === 'development' || mode === 'test') return { kind: 'embedded' };
  throw new ConfigurationError(
    'No database: set IDEMPOTENCY_DATABASE_URL (or DATABASE_URL) to a Postgres server, or permit the embedded database, whose keys no other process sees, with the option embedded: true.',
  );
}

function redisFrom(option: IdempotencyOptions<never>['redis'], environment: Environment): RedisSource {
  if (option === false) return { kind: 'none' };
  if (typeof option === 'object' && option !== null) {
    return 'getBuffer' in option && typeof option.getBuffer === 'function'
      ? { kind: 'client', client: option as Redis | Cluster }
      : { kind: 'options', options: option as RedisOptions };
  }
  const [name, url] = firstOf(option, 'redis', environment, ['IDEMPOTENCY_REDIS_URL', 'REDIS_URL']);
  if (url === undefined) return { kind: 'none' };
  checkUrl(name, url, ['redis:', 'rediss:'], 'redis://host:6379');
  return { kind: 'url', url };
}

function firstOf(
  option: string | undefined,
  optionName: string,
  environment: Environment,
  variables: readonly string[],
): readonly [name: string, value: string | undefined] {
  if (option !== undefined) return [`The option \`${optionName}\``, option];
  const variable = variables.find((name) => environment[name] !== undefined && environment[name] !== '');
  return variable === undefined ? ['', undefined] : [variable, environment[variable]];
}

/** Never prints the URL: it may hold a password. */
function checkUrl(name: string, url: string, protocols: readonly string[], example: string): void {
  if (typeof url === 'string' && URL.canParse(url) && protocols.includes(new URL(url).protocol)) return;
  throw new ConfigurationError(`${name} expects a URL such as ${example}.`);
}
