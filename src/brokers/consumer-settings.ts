/** What a consumer is told, checked; how long a failed message waits; and who hears of failures. */

import { nearestName } from '../config/nearest-name.ts';
import { errorText } from '../errors/error-text.ts';
import { retryDelayMs } from '../outbox/retry-delay.ts';
import type { ConsumerOptions, ReceivedMessage } from './received-message.ts';

/** A function of ours that takes options: its name for messages, and the options that only it has. */
export interface OptionsOwner {
  /** Such as `consumeRedisStream`. */
  readonly name: string;
  readonly own: readonly string[];
}

/** The whole numbers that an option takes, and the one that it has where it is not given. */
export interface NumberRange {
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

const numbers = {
  concurrency: { default: 10, min: 1, max: 10_000 },
  backoffMs: { default: 1000, min: 0, max: 86_400_000 },
  maxBackoffMs: { default: 60_000, min: 0, max: 86_400_000 },
  stopTimeoutMs: { default: 10_000, min: 0, max: 86_400_000 },
} as const satisfies Partial<Record<keyof ConsumerOptions, NumberRange>>;

type NumberName = keyof typeof numbers;

/** An object, so that none can be forgotten. */
const others: Record<Exclude<keyof ConsumerOptions, NumberName>, true> = { onError: true };

/** The options that every consumer has, checked, with their defaults. */
export type ConsumerSettings = { readonly [Name in NumberName]: number } & {
  /** How long a message waits that failed when it was delivered for the nth time, from 1. */
  readonly retryDelayMs: (deliveries: number) => number;
  readonly failures: FailureTeller;
};

/** Says what went wrong, but not for each message of an outage. It never throws. */
export interface FailureTeller {
  /** With a message, it could not be handled; without, the broker could not be asked. */
  readonly failed: (error: unknown, message?: ReceivedMessage) => void;
  /** A message was handled: the next that fails is told again. */
  readonly handled: () => void;
  /** The broker has answered: when it does so no more, that is told again. */
  readonly reached: () => void;
}

/** @throws TypeError naming the option that is wrong or unknown. */
export function readConsumerOptions(options: ConsumerOptions, owner: OptionsOwner): ConsumerSettings {
  refuseUnknownOptions(options, {
    ...owner,
    own: [...owner.own, ...Object.keys(numbers), ...Object.keys(others)],
  });
  const resolved = Object.fromEntries(
    (Object.keys(numbers) as NumberName[]).map((name) => [
      name,
      readNumberOption(owner.name, name, options[name], numbers[name]),
    ]),
  ) as Record<NumberName, number>;
  const { onError } = options;
  if (onError !== undefined && typeof onError !== 'function') {
    throw wrongOption(owner.name, 'onError', 'expects a function');
  }
  return {
    ...resolved,
    retryDelayMs: (deliveries) => retryDelayMs(Math.max(1, deliveries), resolved),
    failures: failureTeller(owner.name, onError),
  };
}

/** @throws TypeError where it is no object, or has an option that `own` does not name. */
export function refuseUnknownOptions(options: unknown, { name, own }: OptionsOwner): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${name}() expects an object.`);
  const unknown = Object.keys(options).find((option) => !own.includes(option));
  if (unknown === undefined) return;
  const meant = nearestName(unknown, own);
  const hint = meant === undefined ? '' : ` Did you mean \`${meant}\`?`;
  throw new TypeError(`${name}() has no option \`${unknown}\`.${hint}`);
}

/** @throws TypeError where it is neither `undefined` nor a whole number of the range. */
export function readNumberOption(owner: string, option: string, value: unknown, range: NumberRange): number {
  if (value === undefined) return range.default;
  if (Number.isSafeInteger(value) && (value as number) >= range.min && (value as number) <= range.max) {
    return value as number;
  }
  throw wrongOption(owner, option, `expects a whole number from ${range.min} to ${range.max}`);
}

export function wrongOption(owner: string, option: string, problem: string): TypeError {
  return new TypeError(`The option \`${option}\` of ${owner}() ${problem}.`);
}

function failureTeller(owner: string, onError: ConsumerOptions['onError']): FailureTeller {
  const told = { message: false, broker: false };
  // The consumer goes on: what it does next is not for a listener to decide.
  const hasThrown = (thrown: unknown): void =>
    warn(`The option \`onError\` of ${owner}() has thrown.`, thrown);
  return {
    failed(error, message) {
      if (onError !== undefined) {
        try {
          // It may be async: a rejection that nobody hears of ends the process.
          Promise.resolve<unknown>(onError(error, message)).catch(hasThrown);
        } catch (thrown) {
          hasThrown(thrown);
        }
        return;
      }
      const about = message === undefined ? 'broker' : 'message';
      if (told[about]) return;
      told[about] = true;
      const what =
        message === undefined
          ? 'cannot reach its broker; it tries again'
          : 'could not handle a message, which comes again';
      warn(`${owner}() ${what}. The next failures are not told; give \`onError\` to hear of each.`, error);
    },
    handled() {
      told.message = false;
    },
    reached() {
      told.broker = false;
    },
  };
}

function warn(text: string, cause: unknown): void {
  const detail = cause instanceof Error ? (cause.stack ?? cause.message) : errorText(cause);
  process.emitWarning(text, { type: 'GraphQLIdempotencyWarning', detail });
}
