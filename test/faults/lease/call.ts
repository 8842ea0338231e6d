/** One call of the mutation, and what was promised of it and not kept. */

import { isDeepStrictEqual } from 'node:util';
import { identityOf } from '../../../src/key/identity.ts';
import type { Key } from '../../../src/key/key-form.ts';
import type { WireMessage } from '../../support/postgres-wire.ts';
import type { Policy, Transfer } from './transfer.ts';

/** One call, from the kill to the end. */
export interface Call {
  readonly policy: Policy;
  readonly index: number;
  readonly note: string;
  readonly identity: Buffer;
  /** What was promised and not kept. */
  readonly violations: string[];
  /** What every later replay must be. */
  transfer?: Transfer | undefined;
}

/** Notes what is not as promised. */
export function check(call: Call, what: string, actual: unknown, promised: unknown): void {
  if (isDeepStrictEqual(actual, promised)) return;
  call.violations.push(`${what}: ${JSON.stringify(actual)}, not ${JSON.stringify(promised)}`);
}

/** Makes a call; its note is its key. */
export function newCall(policy: Policy, index: number, name: string): Call {
  const note = `${name}-${policy}-${index}`;
  const identity = identityOf({ namespace: '', scope: 'alice', key: note as Key });
  return { policy, index, note, identity, violations: [] };
}

/** Whether a message to Postgres is about the call: by a literal, or by the value of a prepared statement. */
export function namesIdentity({ bytes }: WireMessage, { identity }: Call): boolean {
  return bytes.includes(identity) || bytes.includes(identity.toString('hex'));
}
