/** What a relay is told, and what it does by default. */

import { nearestName } from '../config/nearest-name.ts';
import type { OutboxEvent, PublishFunction, Publisher } from './publisher.ts';

export interface RelayOptions {
  /** Publishes one event: resolves when the broker has it, throws when it has not. Or else give a `publisher`. */
  readonly publish?: PublishFunction | undefined;
  /** Publishes events together, or else give `publish`. */
  readonly publisher?: Publisher | undefined;
  /**
   * Publishes the events of these topics only. Events of a key that has others in front of it, of a topic that is not
   * among these, wait for another relay to publish those.
   *
   * @defaultValue all topics
   */
  readonly topics?: readonly string[] | undefined;
  /** How many events are claimed at once. @defaultValue 100 */
  readonly batchSize?: number | undefined;
  /**
   * How many bytes of payloads and headers are claimed at once; a single event may have more. They are kept in memory
   * until all of them are published, and for a moment several times. @defaultValue 16777216
   */
  readonly maxBatchBytes?: number | undefined;
  /** How many calls of `publish` may be under way at once. @defaultValue 10 */
  readonly concurrency?: number | undefined;
  /**
   * How long a claim lives without renewal, in milliseconds, and so how long the events of a relay that died wait for
   * another. @defaultValue 30000
   */
  readonly leaseMs?: number | undefined;
  /** How long a try at publishing may take, in milliseconds, before it has failed. @defaultValue 30000 */
  readonly publishTimeoutMs?: number | undefined;
  /**
   * After how many failures an event is a dead letter. Those of an outage of the broker count as well: by default it
   * takes 40 to 70 minutes. @defaultValue 20
   */
  readonly maxAttempts?: number | undefined;
  /**
   * From how many relays on that died with an event it is published alone; the next that dies makes it a dead letter.
   * @defaultValue 3
   */
  readonly crashLimit?: number | undefined;
  /** The longest wait after a first failure, in milliseconds; it doubles with each. @defaultValue 1000 */
  readonly backoffMs?: number | undefined;
  /** The longest wait of all, in milliseconds. @defaultValue 600000 */
  readonly maxBackoffMs?: number | undefined;
  /** The wait between two looks while there is something to do, in milliseconds. @defaultValue 50 */
  readonly pollMinMs?: number | undefined;
  /** The wait to which it grows while there is nothing, in milliseconds. @defaultValue 2000 */
  readonly pollMaxMs?: number | undefined;
  /**
   * Whether it also listens, on a connection of its own, for processes that say that they have committed events (setting
   * `outboxNotify`). It looks for events all the same; this only makes it look sooner. It needs a connection that no
   * pooler shares.
   *
   * @defaultValue false
   */
  readonly notify?: boolean | undefined;
  /** How long `stop` waits for events that are being published, in milliseconds. @defaultValue 10000 */
  readonly stopTimeoutMs?: number | undefined;
  /**
   * Told why an event could not be published; without an event, that the database could not be asked.
   *
   * @defaultValue the logger is told of dead letters, and of the first of several failures
   */
  readonly onError?: ((error: unknown, event: OutboxEvent | undefined) => void) | undefined;
}

const numbers = {
  batchSize: { default: 100, min: 1, max: 10_000 },
  maxBatchBytes: { default: 16_777_216, min: 1, max: 268_435_456 },
  concurrency: { default: 10, min: 1, max: 10_000 },
  leaseMs: { default: 30_000, min: 30, max: 86_400_000 },
  publishTimeoutMs: { default: 30_000, min: 1, max: 86_400_000 },
  maxAttempts: { default: 20, min: 1, max: 1_000_000 },
  crashLimit: { default: 3, min: 1, max: 1000 },
  backoffMs: { default: 1000, min: 0, max: 86_400_000 },
  maxBackoffMs: { default: 600_000, min: 0, max: 86_400_000 },
  pollMinMs: { default: 50, min: 1, max: 60_000 },
  pollMaxMs: { default: 2000, min: 1, max: 86_400_000 },
  stopTimeoutMs: { default: 10_000, min: 0, max: 86_400_000 },
} as const;

type NumberName = keyof typeof numbers;

/** The names of all options, with the defaults of those that are numbers. */
export const relayOptionDefaults: Readonly<Record<keyof RelayOptions, number | undefined>> = {
  publish: undefined,
  publisher: undefined,
  topics: undefined,
  notify: undefined,
  onError: undefined,
  ...(Object.fromEntries(
    Object.entries(numbers).map(([name, { default: usual }]) => [name, usual]),
  ) as Record<NumberName, number>),
};

/** The options, checked, with their defaults. */
export type RelaySettings = { readonly [Name in NumberName]: number } & {
  readonly target: { readonly publish: PublishFunction } | { readonly publisher: Publisher };
  readonly topics: readonly string[] | undefined;
  readonly notify: boolean;
  readonly onError: RelayOptions['onError'];
};

/** @throws TypeError naming the option that is wrong, and what it expects. */
export function readRelayOptions(options: RelayOptions): RelaySettings {
  if (typeof options !== 'object' || options === null) throw new TypeError('relay() expects an object.');
  refuseUnknown(Object.keys(options));
  const resolved = Object.fromEntries(
    (Object.keys(numbers) as NumberName[]).map((name) => [name, readNumber(name, options[name])]),
  ) as Record<NumberName, number>;
  if (resolved.pollMinMs > resolved.pollMaxMs) throw wrong('pollMinMs', 'must not exceed `pollMaxMs`');
  const { topics, onError, notify = false } = options;
  if (typeof notify !== 'boolean') throw wrong('notify', 'expects true or false');
  if (topics !== undefined && (!Array.isArray(topics) || topics.length === 0 || !topics.every(isTopic))) {
    throw wrong('topics', 'expects a list of at least one topic');
  }
  if (onError !== undefined && typeof onError !== 'function') throw wrong('onError', 'expects a function');
  return {
    ...resolved,
    target: readTarget(options),
    topics: topics === undefined ? undefined : [...(topics as readonly string[])],
    notify,
    onError,
  };
}

function readTarget({ publish, publisher }: RelayOptions): RelaySettings['target'] {
  if ((publish === undefined) === (publisher === undefined)) {
    throw new TypeError('relay() expects either `publish` or `publisher`.');
  }
  if (publish !== undefined) {
    if (typeof publish === 'function') return { publish };
    throw wrong('publish', 'expects a function');
  }
  if (typeof publisher?.publish === 'function') return { publisher };
  throw wrong('publisher', 'expects an object with a method `publish`');
}

function readNumber(name: NumberName, value: unknown): number {
  const { default: otherwise, min, max } = numbers[name];
  if (value === undefined) return otherwise;
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max)
    return value as number;
  throw wrong(name, `expects a whole number from ${min} to ${max}`);
}

function refuseUnknown(given: readonly string[]): void {
  const known = Object.keys(relayOptionDefaults);
  const unknown = given.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const meant = nearestName(unknown, known);
  throw new TypeError(
    `relay() has no option \`${unknown}\`.${meant === undefined ? '' : ` Did you mean \`${meant}\`?`}`,
  );
}

function isTopic(topic: unknown): boolean {
  return typeof topic === 'string' && topic !== '';
}

function wrong(option: keyof RelayOptions, problem: string): TypeError {
  return new TypeError(`The option \`${option}\` of relay() ${problem}.`);
}
