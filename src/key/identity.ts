/**
 * Knows the recipe of the identity, which is all that stores ever see of a key.
 *
 *     identity   = SHA-256("graphql-idempotency/identity" 00  text(namespace) text(scope) text(key))
 *     scope hash = SHA-256("graphql-idempotency/scope" 00     text(namespace) text(scope))
 *     text(s)    = 73 length UTF-8 bytes of s      if s is well-formed
 *                | 53 length UTF-16LE bytes of s   if s has a lone surrogate, which UTF-8 would fold into U+FFFD
 *
 * The inbox has names of its own, so that no client's key is ever a message's: `…/inbox` with the consumer as scope and
 * the message's id as key, and `…/consumer`.
 *
 *     length     = number of bytes, 32 bits, big-endian; 00, 73 and 53 are single bytes in hexadecimal
 *
 * The recipe never changes, and it holds no secret: a new version or a rotated secret must not execute
 * retries again.
 */

import { hash } from 'node:crypto';
import type { Key } from './key-form.ts';

/** Hash of namespace, scope and key: the record's primary key. 32 bytes. */
export type Identity = Buffer & { readonly __brand: 'Identity' };

const IDENTITY_TAG = Buffer.from('graphql-idempotency/identity\0', 'latin1');
const SCOPE_TAG = Buffer.from('graphql-idempotency/scope\0', 'latin1');
const INBOX_TAG = Buffer.from('graphql-idempotency/inbox\0', 'latin1');
const CONSUMER_TAG = Buffer.from('graphql-idempotency/consumer\0', 'latin1');
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Returns the identity of a call. */
export function identityOf(parts: {
  readonly namespace: string;
  readonly scope: string;
  readonly key: Key;
}): Identity {
  return digest([
    IDENTITY_TAG,
    ...text(parts.namespace),
    ...text(parts.scope),
    ...text(parts.key),
  ]) as Identity;
}

/** Returns the hash by which a scope's rows can be found without storing the scope. 32 bytes. */
export function scopeHashOf(namespace: string, scope: string): Buffer {
  return digest([SCOPE_TAG, ...text(namespace), ...text(scope)]);
}

/** Returns the identity of a message at a consumer. */
export function inboxIdentityOf(parts: {
  readonly namespace: string;
  readonly consumer: string;
  readonly messageId: string;
}): Identity {
  const { namespace, consumer, messageId } = parts;
  return digest([INBOX_TAG, ...text(namespace), ...text(consumer), ...text(messageId)]) as Identity;
}

/** Returns the hash by which a consumer's rows can be found. 32 bytes. */
export function consumerHashOf(namespace: string, consumer: string): Buffer {
  return digest([CONSUMER_TAG, ...text(namespace), ...text(consumer)]);
}

function digest(chunks: readonly Buffer[]): Buffer {
  return hash('sha256', Buffer.concat(chunks), 'buffer');
}

function text(value: string): readonly [Buffer, Buffer] {
  const wellFormed = !LONE_SURROGATE.test(value);
  const bytes = Buffer.from(value, wellFormed ? 'utf8' : 'utf16le');
  const prefix = Buffer.allocUnsafe(5);
  prefix.write(wellFormed ? 's' : 'S', 'latin1');
  prefix.writeUInt32BE(bytes.length, 1);
  return [prefix, bytes];
}
