/** The settings that are plain values: their kinds, defaults and meaning. The only copy; the docs print it. */

export type SettingKind = 'duration' | 'count' | 'flag' | 'text';

export interface Setting {
  readonly kind: SettingKind;
  readonly default: number | boolean | string;
  /** Smallest allowed value; milliseconds for durations. */
  readonly min?: number;
  readonly about: string;
}

/** Durations are given as ISO 8601 text or as milliseconds, and are held in milliseconds. */
export const settings = {
  ttl: { kind: 'duration', default: 86_400_000, min: 1, about: 'How long a completed record replays.' },
  tombstoneTtl: {
    kind: 'duration',
    default: 0,
    min: 0,
    about: 'How long after `ttl` a key still answers KEY_EXPIRED instead of executing again.',
  },
  namespace: {
    kind: 'text',
    default: '',
    about: 'Keeps the keys of services apart that share one database and one idempotency schema.',
  },
  schema: {
    kind: 'text',
    default: 'graphql_idempotency',
    about: 'The Postgres schema that holds the records.',
  },
  migrate: {
    kind: 'flag',
    default: false,
    about: 'Whether a real database is migrated at startup. The embedded default always migrates itself.',
  },
  embedded: {
    kind: 'flag',
    default: false,
    about: 'Permits the embedded database outside `development` and `test`. A database URL always wins.',
  },
  embeddedFolder: {
    kind: 'text',
    default: '.idempotency',
    about: 'The data folder of the embedded database, relative to the working directory.',
  },
  transactionTimeout: {
    kind: 'duration',
    default: 30_000,
    min: 1,
    about: 'How long a transaction may last, from its claim to its commit.',
  },
  acquireTimeout: {
    kind: 'duration',
    default: 2000,
    min: 1,
    about: 'How long a call waits for a Postgres connection.',
  },
  claimTimeout: { kind: 'duration', default: 2000, min: 1, about: 'How long a claim waits for Postgres.' },
  commitTimeout: {
    kind: 'duration',
    default: 5000,
    min: 1,
    about: 'How long record and COMMIT wait for an answer before the outcome is probed.',
  },
  probeTimeout: {
    kind: 'duration',
    default: 5000,
    min: 1,
    about: 'How long the outcome of an unanswered COMMIT is probed before it is OUTCOME_UNKNOWN.',
  },
  lockTimeout: {
    kind: 'duration',
    default: 2000,
    min: 1,
    about: 'How long the record statement waits for another transaction that holds the same key.',
  },
  lease: {
    kind: 'duration',
    default: 30_000,
    min: 10,
    about: 'LEASE: how long a claim lives without renewal, and so how long a retry waits for a dead process.',
  },
  renewInterval: {
    kind: 'duration',
    default: 0,
    min: 0,
    about: 'LEASE: how often a lease is renewed; 0: at every third of `lease`.',
  },
  attemptTimeout: {
    kind: 'duration',
    default: 600_000,
    min: 1,
    about: 'LEASE: how long an attempt may run before its lease is no longer renewed.',
  },
  maxAttempts: {
    kind: 'count',
    default: 5,
    min: 1,
    about: 'LEASE, `abandoned: RERUN`: how often a call is executed before its outcome stays unknown.',
  },
  recoverInterval: {
    kind: 'duration',
    default: 30_000,
    min: 0,
    about:
      'LEASE: how often abandoned attempts are offered to the `recover` callbacks; 0: only when a client retries.',
  },
  recoverBatchSize: {
    kind: 'count',
    default: 20,
    min: 1,
    about: 'LEASE: abandoned attempts that are offered to the `recover` callbacks at once.',
  },
  waitTimeout: {
    kind: 'duration',
    default: 10_000,
    min: 1,
    about:
      '`inFlight: WAIT`: how long a call waits for the answer of another with its key before IN_PROGRESS.',
  },
  drainTimeout: {
    kind: 'duration',
    default: 10_000,
    min: 0,
    about:
      'How long a server that stops waits for mutations in flight before it rolls them back, or gives up their leases.',
  },
  retryAfter: {
    kind: 'duration',
    default: 1000,
    min: 1,
    about: 'The wait that retryable errors suggest to clients.',
  },
  poolSize: { kind: 'count', default: 10, min: 1, about: 'Connections for attempts.' },
  reservedPoolSize: {
    kind: 'count',
    default: 2,
    min: 1,
    about:
      'Connections kept apart for probes, renewals, reads after a conflict, the sweeper, and, while the others are busy, relays.',
  },
  poolQueueSize: {
    kind: 'count',
    default: 1000,
    min: 0,
    about: 'Calls that may wait for a connection; further ones are STORE_UNAVAILABLE at once.',
  },
  preparedStatements: {
    kind: 'flag',
    default: true,
    about:
      'Whether frequent statements are prepared by name. Behind a pooler that cannot keep them, the library notices and stops.',
  },
  redisTimeout: {
    kind: 'duration',
    default: 50,
    min: 1,
    about: 'How long a lookup waits for Redis before it goes to Postgres.',
  },
  redisConnectTimeout: {
    kind: 'duration',
    default: 200,
    min: 1,
    about: 'How long a connection to Redis may take.',
  },
  redisPrefix: { kind: 'text', default: 'idempotency', about: 'What every Redis key begins with.' },
  replayWithoutDatabase: {
    kind: 'flag',
    default: true,
    about: 'Whether completed keys replay from Redis while Postgres cannot be reached.',
  },
  describe: {
    kind: 'flag',
    default: true,
    about: 'Whether a sentence about the key is appended to the description of every guarded field.',
  },
  maxResultBytes: { kind: 'count', default: 1_048_576, min: 1, about: 'Largest stored result.' },
  outboxNotify: {
    kind: 'flag',
    default: false,
    about:
      'Whether a NOTIFY of its own follows each commit that has added events, for relays of other processes that listen. Those of this one need none.',
  },
  inboxTtl: {
    kind: 'duration',
    default: 604_800_000,
    min: 1,
    about: 'How long a message is remembered as handled: longer than any broker may deliver it again.',
  },
  maxEventBytes: {
    kind: 'count',
    default: 1_000_000,
    min: 1,
    about: 'Largest event: payload and headers. Brokers have limits of their own; Kafka and NATS take 1 MB.',
  },
  maxPayloadBytes: { kind: 'count', default: 262_144, min: 1, about: 'Largest canonical form of arguments.' },
  maxPayloadDepth: { kind: 'count', default: 64, min: 1, about: 'Deepest nesting of arguments.' },
  maxPayloadNodes: { kind: 'count', default: 10_000, min: 1, about: 'Most values in the arguments.' },
  maxFieldsPerOperation: {
    kind: 'count',
    default: 20,
    min: 1,
    about: 'Most guarded fields in an operation.',
  },
  sweepInterval: {
    kind: 'duration',
    default: 60_000,
    min: 0,
    about: 'How often expired records are swept; 0 switches the sweeper off.',
  },
  sweepBatchSize: { kind: 'count', default: 1000, min: 1, about: 'Records swept in one statement.' },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

type ValueOf<K extends SettingKind> = K extends 'flag' ? boolean : K extends 'text' ? string : number;
type InputOf<K extends SettingKind> = K extends 'duration' ? number | string : ValueOf<K>;

/** Every setting, resolved. Durations are milliseconds. */
export type Settings = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]['kind']> };

/** What code may say of a setting. Durations: ISO 8601 text or milliseconds. */
export type SettingOptions = {
  readonly [Name in SettingName]?: InputOf<(typeof settings)[Name]['kind']> | undefined;
};

/** Returns the environment variable of a setting. */
export function environmentName(name: SettingName): string {
  return `IDEMPOTENCY_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
