/**
 * The form of a completed record in the fast tier: bytes that carry their own expiry and prove who wrote them.
 *
 * Layout, version 1: outcome (1 byte), fingerprint version (2), codec version (2), completed, expires and
 * takeover (8 each, IEEE 754 milliseconds), fingerprint (32), body, HMAC-SHA-256 (32) over name and content.
 * The name is the Redis key, so a value that was moved to another key, or to another database's keys, is
 * forged.
 */

import { createHmac, timingSafeEqual } from 'node:crypto';
import type { CompletedRecord } from './record.ts';

/** Part of every Redis key: builds with other rules never read each other's envelopes. */
export const ENVELOPE_VERSION = 1;

const HEADER_BYTES = 1 + 2 + 2 + 3 * 8 + 32;
const MAC_BYTES = 32;
const OUTCOMES = ['result', 'error'] as const;

export type Opened =
  | { readonly kind: 'record'; readonly record: CompletedRecord }
  | { readonly kind: 'forged' }
  | { readonly kind: 'unreadable' };

/** Seals a record for the fast tier; `undefined` for one that has no readable body. */
export function seal(name: string, record: CompletedRecord, secret: Buffer): Buffer | undefined {
  if (record.outcome === 'omitted' || record.encryptionKeyId !== null || record.body === null)
    return undefined;
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt8(OUTCOMES.indexOf(record.outcome), 0);
  header.writeUInt16BE(record.fingerprintVersion, 1);
  header.writeUInt16BE(record.codecVersion, 3);
  header.writeDoubleBE(record.completedMs, 5);
  header.writeDoubleBE(record.expiresMs, 13);
  header.writeDoubleBE(record.takeoverMs, 21);
  record.fingerprint.copy(header, 29);
  const content = Buffer.concat([header, record.body]);
  return Buffer.concat([content, macOf(name, content, secret)]);
}

/** Opens an envelope. Never throws: whatever Redis holds, the durable tier decides. */
export function open(name: string, sealed: Buffer, secret: Buffer): Opened {
  if (sealed.length < HEADER_BYTES + MAC_BYTES) return { kind: 'unreadable' };
  const content = sealed.subarray(0, -MAC_BYTES);
  if (!timingSafeEqual(sealed.subarray(-MAC_BYTES), macOf(name, content, secret))) return { kind: 'forged' };
  const outcome = OUTCOMES[content.readUInt8(0)];
  if (outcome === undefined) return { kind: 'unreadable' };
  return {
    kind: 'record',
    record: {
      state: 'completed',
      outcome,
      fingerprintVersion: content.readUInt16BE(1),
      codecVersion: content.readUInt16BE(3),
      completedMs: content.readDoubleBE(5),
      expiresMs: content.readDoubleBE(13),
      takeoverMs: content.readDoubleBE(21),
      fingerprint: content.subarray(29, HEADER_BYTES),
      encryptionKeyId: null,
      body: content.subarray(HEADER_BYTES),
    },
  };
}

function macOf(name: string, content: Buffer, secret: Buffer): Buffer {
  return createHmac('sha256', secret).update(`${name}\n`).update(content).digest();
}
