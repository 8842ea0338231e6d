/** Reads what a call of `guard()` says of itself. What cannot be kept is a mistake in the code that calls. */

import { MAX_CALL_NAME_LENGTH, isCallName, isFieldName } from '../../config/call-name.ts';
import { checkLeases } from '../../config/config.ts';
import { nearestName } from '../../config/nearest-name.ts';
import { readSetting } from '../../config/read-setting.ts';
import type { Settings } from '../../config/settings.ts';
import type { GuardedRun } from '../guard.ts';
import type { CallRule } from '../call.ts';
import type { CurrentAttempt } from '../current.ts';
import type { GuardCall } from './guard-call.ts';

export interface ReadOptions {
  readonly settings: Settings;
  /** Names of root types: a call must not be named like a field of theirs. */
  readonly roots: ReadonlySet<string>;
}

/** A call whose options can be kept. Scope, key and payload come from outside, and are not checked yet. */
export interface ReadCall {
  readonly name: string;
  readonly scope: unknown;
  readonly key: unknown;
  readonly payload: unknown;
  readonly rule: CallRule;
  readonly ttlMs: number;
  readonly guarded: GuardedRun;
}

/** The names of what a call may say of itself. */
export const guardOptionNames = [
  'name',
  'scope',
  'key',
  'payload',
  'mode',
  'ttl',
  'inFlight',
  'abandoned',
  'authorizeReplay',
  'signal',
] as const satisfies readonly (keyof GuardCall)[];

/**
 * Returns the call as it is at this moment.
 *
 * @throws TypeError naming the option that is wrong, and what it expects.
 * @throws ConfigurationError when the settings allow no leases.
 */
export function readCall(
  call: GuardCall,
  run: (attempt: CurrentAttempt) => unknown,
  { settings, roots }: ReadOptions,
): ReadCall {
  if (typeof call !== 'object' || call === null) {
    throw new TypeError('guard() expects an object with a scope and a key.');
  }
  const name = readName(call.name, roots);
  refuseUnknown(name, Object.keys(call));
  if (typeof run !== 'function')
    throw new TypeError(`${name}: guard() expects a function as its second argument.`);
  const { mode = 'TRANSACTION', inFlight = 'REJECT', abandoned, ttl, authorizeReplay, signal } = call;
  expectOneOf(name, 'mode', mode, ['TRANSACTION', 'LEASE']);
  expectOneOf(name, 'inFlight', inFlight, ['REJECT', 'WAIT']);
  if (abandoned !== undefined) {
    expectOneOf(name, 'abandoned', abandoned, ['REFUSE', 'RERUN']);
    // Its default is refused as well: whoever writes it expects a lease, and this mode has none to abandon.
    if (mode === 'TRANSACTION') {
      throw wrong(
        name,
        'abandoned',
        'is for mode: LEASE; in TRANSACTION mode nothing is abandoned, so remove it',
      );
    }
  }
  if (authorizeReplay !== undefined && typeof authorizeReplay !== 'function') {
    throw wrong(name, 'authorizeReplay', 'expects a function');
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrong(name, 'signal', 'expects an AbortSignal');
  }
  if (mode === 'LEASE') checkLeases(settings, ttl !== undefined);
  return {
    name,
    scope: call.scope,
    key: call.key,
    payload: call.payload,
    rule: Object.freeze({ mode, inFlight, abandoned: abandoned ?? 'REFUSE' }),
    ttlMs: readTtl(name, ttl, mode, settings),
    guarded: { run, authorizeReplay: authorizeReplay ?? (() => {}), clientSignal: () => signal },
  };
}

function readName(name: unknown, roots: ReadonlySet<string>): string {
  if (name === undefined) return 'guard';
  if (!isCallName(name)) {
    throw new TypeError(
      `The option \`name\` of guard() expects text of 1 to ${MAX_CALL_NAME_LENGTH} characters.`,
    );
  }
  // A field's `recover` would be asked about this call, and a record of the field's might answer it.
  if (isFieldName(name, roots))
    throw wrong(name, 'name', 'must not look like a field: it begins with a root type');
  return name;
}

function refuseUnknown(name: string, given: readonly string[]): void {
  const unknown = given.find((one) => !(guardOptionNames as readonly string[]).includes(one));
  if (unknown === undefined) return;
  const meant = nearestName(unknown, guardOptionNames);
  const hint =
    meant === undefined ? ` It has ${guardOptionNames.join(', ')}.` : ` Did you mean \`${meant}\`?`;
  throw new TypeError(`${name}: guard() has no option \`${unknown}\`.${hint}`);
}

function expectOneOf(name: string, option: keyof GuardCall, value: unknown, known: readonly string[]): void {
  if (known.includes(value as string)) return;
  throw wrong(name, option, `expects ${known.map((one) => `"${one}"`).join(' or ')}`);
}

function readTtl(name: string, ttl: unknown, mode: CallRule['mode'], settings: Settings): number {
  if (ttl === undefined) return settings.ttl;
  let ttlMs: number;
  try {
    ttlMs = readSetting('ttl', ttl, undefined) as number;
  } catch (error) {
    throw new TypeError(`${name}: ${(error as Error).message}`, { cause: error });
  }
  const than = mode === 'LEASE' ? 'lease' : 'transactionTimeout';
  if (ttlMs > settings[than]) return ttlMs;
  throw wrong(name, 'ttl', `must exceed \`${than}\` (${settings[than]} ms), got ${ttlMs} ms`);
}

function wrong(name: string, option: keyof GuardCall, problem: string): TypeError {
  return new TypeError(`${name}: the option \`${option}\` ${problem}.`);
}
