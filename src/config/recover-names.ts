/** Which names the option `recover` may have: those of fields with a lease, and of calls of `guard()`. */

import { ConfigurationError } from '../errors/configuration-error.ts';
import { isCallName, isFieldName } from './call-name.ts';
import { nearestName } from './nearest-name.ts';

export interface RecoverNames {
  readonly names: readonly string[];
  /** Coordinates of the schema's fields with `mode: LEASE`. */
  readonly leased: readonly string[];
  /** Names of root types. */
  readonly roots: ReadonlySet<string>;
}

/**
 * Refuses a callback that nothing would ever call: its author believes attempts in good hands that stay unsettled.
 *
 * What `guard()` calls are named is known only when they are made. So any name may be one of theirs, but those of
 * fields, and those that are probably a field's misspelled.
 *
 * @throws ConfigurationError naming the one that is wrong, and what may have been meant.
 */
export function checkRecoverNames({ names, leased, roots }: RecoverNames): void {
  for (const name of names) {
    if (leased.includes(name)) continue;
    // The type is easily forgotten.
    const meant = leased.find((coordinate) => isFieldOf(coordinate, name)) ?? nearestName(name, leased);
    const mayBeCall = isCallName(name) && !isFieldName(name, roots);
    if (mayBeCall && meant === undefined) continue;
    const alike = mayBeCall ? ', and too much like one to be the name of guard() calls' : '';
    const hint = meant === undefined ? '' : ` Did you mean ${meant}?`;
    throw new ConfigurationError(
      `The option \`recover\` names ${name}, which is no field with mode: LEASE${alike}.${hint}`,
    );
  }
}

function isFieldOf(coordinate: string, name: string): boolean {
  return coordinate.slice(coordinate.indexOf('.') + 1).toLowerCase() === name.toLowerCase();
}
