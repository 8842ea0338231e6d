/** What the command is told. */

import { parseArgs } from 'node:util';
import { BROKER_NAMES } from './brokers/broker.ts';
import type { BrokerName } from './brokers/broker.ts';
import { DRAIN_MS, STALL_MS } from './run-chaos.ts';

export interface CommandOptions {
  readonly broker: BrokerName;
  readonly seconds: number;
  readonly mutations: number;
  readonly seed: number;
  readonly json: string | undefined;
}

const HELP = `Usage: npm run chaos:outbox -- [options]

Makes guarded calls that add events, a fifth of them rolled back, while relays, consumers and the caller are killed and
frozen and the broker is restarted twice; then counts what was lost, invented, doubled or out of order. Exits with 1
where anything was.

  --broker NAME    ${BROKER_NAMES.join(', ')} (default: redis)
  --seconds N      makes calls for so long at most (default: 600)
  --mutations N    makes so many calls at most (default: 50000)
  --seed S         the same seed makes the same calls and faults (default: random)
  --json FILE      writes { seed, seconds, operations, faults, violations } and more to a file
  --help           shows this

After the calls it waits, without faults, until all events have arrived: for ${DRAIN_MS / 60_000} minutes at most, or until nothing
has happened for ${STALL_MS / 1000} seconds.`;

/** Ends the process where there is nothing to run. */
export function readOptions(args: readonly string[]): CommandOptions {
  const values = parse(args);
  if (values.help === true) {
    console.log(HELP);
    process.exit(0);
  }
  const broker = BROKER_NAMES.find((name) => name === values.broker);
  if (broker === undefined) return wrong(`--broker must be one of ${BROKER_NAMES.join(', ')}`);
  return {
    broker,
    seconds: wholeNumber('seconds', values.seconds, 1),
    mutations: wholeNumber('mutations', values.mutations, 1),
    seed: wholeNumber('seed', values.seed, 0),
    json: values.json,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        broker: { type: 'string', default: 'redis' },
        seconds: { type: 'string', default: '600' },
        mutations: { type: 'string', default: '50000' },
        seed: { type: 'string', default: String(Math.trunc(Math.random() * 1e9)) },
        json: { type: 'string' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    return wrong((error as Error).message);
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const number = Number(text);
  return Number.isSafeInteger(number) && number >= least && text.trim() !== ''
    ? number
    : wrong(`--${name} must be a whole number of at least ${least}`);
}

function wrong(problem: string): never {
  console.error(`${problem}\n\n${HELP}`);
  process.exit(2);
}
