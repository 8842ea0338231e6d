/** Makes keys: one for each intent, that nobody can guess or meet by chance. */

interface RandomSource {
  randomUUID?(): string;
  getRandomValues?(bytes: Uint8Array): Uint8Array;
}

/**
 * Makes a random key: a UUID of version 4.
 *
 * @throws Error where the platform has no secure source of random numbers.
 */
export function newKey(): string {
  const crypto = (globalThis as { crypto?: RandomSource }).crypto;
  if (crypto?.randomUUID !== undefined) return crypto.randomUUID();
  // Pages that came over http, and some platforms, lack `randomUUID` alone.
  if (crypto?.getRandomValues === undefined) {
    throw new Error('No crypto.getRandomValues: pass newKey.');
  }
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
