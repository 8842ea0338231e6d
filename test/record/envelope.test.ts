/** What Redis is given, and what is believed of what it gives back. */

import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { open, seal } from '../../src/record/envelope.ts';
import type { CompletedRecord } from '../../src/record/record.ts';

const secret = Buffer.alloc(32, 7);
const name = 'idempotency:1:tag:identity';
const record: CompletedRecord = {
  state: 'completed',
  outcome: 'result',
  fingerprintVersion: 1,
  fingerprint: Buffer.from(Array.from({ length: 32 }, (_, at) => at)),
  codecVersion: 1,
  encryptionKeyId: null,
  body: Buffer.from('[{"id":1},"first"]'),
  completedMs: 1_700_000_000_000.25,
  expiresMs: 1_700_086_400_000.75,
  takeoverMs: 1_700_086_500_000.125,
};

function sealed(changes: Partial<CompletedRecord> = {}): Buffer {
  return seal(name, { ...record, ...changes }, secret)!;
}

/** An envelope of arbitrary content that whoever has the secret could have made. */
function signed(content: Buffer): Buffer {
  return Buffer.concat([content, createHmac('sha256', secret).update(`${name}\n`).update(content).digest()]);
}

describe('an envelope', () => {
  test('gives back the record, fractions of milliseconds included', () => {
    expect(open(name, sealed(), secret)).toStrictEqual({ kind: 'record', record });
  });

  test('keeps any record', () => {
    const uint16 = fc.integer({ min: 0, max: 0xffff });
    const time = fc.double({ noNaN: true });
    const any = fc.record({
      outcome: fc.constantFrom('result' as const, 'error' as const),
      fingerprintVersion: uint16,
      codecVersion: uint16,
      completedMs: time,
      expiresMs: time,
      takeoverMs: time,
      fingerprint: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
      body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    });
    fc.assert(
      fc.property(any, fc.string(), (changes, anyName) => {
        const whole = { ...record, ...changes };
        const opened = open(anyName, seal(anyName, whole, secret)!, secret);
        expect(opened).toStrictEqual({ kind: 'record', record: whole });
      }),
    );
  });

  test('holds an empty body, and one of a megabyte', () => {
    for (const body of [Buffer.alloc(0), randomBytes(1 << 20)]) {
      const opened = open(name, sealed({ body }), secret);
      expect(opened.kind === 'record' && opened.record.body?.equals(body)).toBe(true);
    }
  });

  test.each<[string, Partial<CompletedRecord>]>([
    ['has no body', { body: null }],
    ['was omitted', { outcome: 'omitted', body: null }],
    ['is encrypted', { encryptionKeyId: 'k1' }],
  ])('is not made of a record that %s', (_, changes) => {
    expect(seal(name, { ...record, ...changes }, secret)).toBeUndefined();
  });
});

describe('nothing is believed', () => {
  test('when any one byte was changed to any other', () => {
    const original = sealed();
    const believed: string[] = [];
    for (let at = 0; at < original.length; at += 1) {
      for (let mask = 1; mask < 256; mask += 1) {
        const changed = Buffer.from(original);
        changed.writeUInt8(changed.readUInt8(at) ^ mask, at);
        if (open(name, changed, secret).kind !== 'forged') believed.push(`${at} ^ ${mask}`);
      }
    }
    expect(believed).toEqual([]);
  });

  test('when it was cut anywhere, or anything was added', () => {
    const original = sealed();
    for (let length = 0; length < original.length; length += 1) {
      expect(open(name, original.subarray(0, length), secret).kind).not.toBe('record');
      expect(open(name, original.subarray(original.length - length), secret).kind).not.toBe('record');
    }
    expect(open(name, Buffer.concat([original, Buffer.alloc(1)]), secret).kind).toBe('forged');
    expect(open(name, Buffer.concat([Buffer.alloc(1), original]), secret).kind).toBe('forged');
    expect(open(name, Buffer.concat([original, original]), secret).kind).toBe('forged');
  });

  test.each(['', 'x', `${name}x`, name.slice(0, -1), name.toUpperCase(), `${name}\n`, `x${name}`])(
    'under another name: %j',
    (other) => {
      expect(open(other, sealed(), secret).kind).toBe('forged');
    },
  );

  test('when another secret signed it', () => {
    expect(open(name, sealed(), Buffer.alloc(32, 8)).kind).toBe('forged');
    expect(open(name, sealed(), Buffer.alloc(0)).kind).toBe('forged');
  });

  test('of what is no envelope at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(open(name, Buffer.from(bytes), secret).kind).not.toBe('record');
      }),
    );
  });

  test('of an outcome that this version does not know, though it is signed', () => {
    const content = sealed().subarray(0, -32);
    for (const outcome of [2, 3, 255]) {
      const unknown = Buffer.from(content);
      unknown.writeUInt8(outcome, 0);
      expect(open(name, signed(unknown), secret)).toStrictEqual({ kind: 'unreadable' });
    }
  });

  test('of something signed that is too short to be a record', () => {
    for (const length of [0, 1, 60]) {
      expect(open(name, signed(Buffer.alloc(length)), secret)).toStrictEqual({ kind: 'unreadable' });
    }
    expect(open(name, signed(Buffer.alloc(61)), secret).kind).toBe('record');
  });
});
