/** The world that the command line asks for. */

import { parseArgs } from 'node:util';
import { DEFAULT_WORLD } from './world.ts';
import type { World } from './world.ts';

/** @throws Error for an option that is unknown or makes no sense. */
export function readWorld(args: readonly string[]): World {
  const { values } = parseArgs({
    args: [...args],
    options: { seed: { type: 'string' }, clients: { type: 'string' }, rate: { type: 'string' } },
  });
  const read = (name: keyof typeof values, usual: number, lowest: number): number => {
    const text = values[name];
    const value = text === undefined ? usual : Number(text);
    const whole = name === 'rate' || Number.isSafeInteger(value);
    if (text === '' || !(value >= lowest && value < Infinity) || !whole) {
      throw new Error(
        `--${name} must be a ${name === 'rate' ? 'number' : 'whole number'}, ${lowest} or more.`,
      );
    }
    return value;
  };
  const ratePerClient = read('rate', DEFAULT_WORLD.ratePerClient, 0.001);
  return {
    ...DEFAULT_WORLD,
    seed: read('seed', DEFAULT_WORLD.seed, 0),
    clients: read('clients', DEFAULT_WORLD.clients, 1),
    ratePerClient,
    // Asked for, it is meant for all rows.
    rateWithoutBudget: values.rate === undefined ? DEFAULT_WORLD.rateWithoutBudget : ratePerClient,
  };
}

export function isDefault(world: World): boolean {
  return JSON.stringify(world) === JSON.stringify(DEFAULT_WORLD);
}
