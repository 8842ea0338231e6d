/** Where one batch ends and the next begins, however the bytes arrive. */

import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { BatchFramer, closingStatus, simpleQuery, sync } from '../../../src/store/embedded/wire-batches.ts';

const startup = Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0]);

it('cuts at every boundary and nowhere else, whatever the chunks', () => {
  const tag = fc.constantFrom('P', 'B', 'D', 'E', 'C', 'd', 'c', 'f', 'H', 'S', 'Q', 'F', 'X');
  const messages = fc.array(fc.record({ tag, body: fc.uint8Array({ maxLength: 40 }) }), { maxLength: 20 });
  const cuts = fc.array(fc.nat(400), { maxLength: 12 });
  fc.assert(
    fc.property(messages, cuts, (sent, places) => {
      const bytes = Buffer.concat([startup, ...sent.map(({ tag: t, body }) => message(t, body))]);
      const framer = new BatchFramer();
      const batches = chunks(bytes, places).flatMap((chunk) => framer.take(chunk));

      const expected = [{ bytes: startup, endsInReady: true }];
      let open: Buffer[] = [];
      for (const { tag: t, body } of sent) {
        if (t === 'X') continue;
        open.push(message(t, body));
        if (!'HSQF'.includes(t)) continue;
        expected.push({ bytes: Buffer.concat(open), endsInReady: t !== 'H' });
        open = [];
      }
      expect(batches).toEqual(expected);
    }),
  );
});

it('refuses bytes that are no protocol', () => {
  const framer = new BatchFramer();
  framer.take(startup);
  expect(() => framer.take(Buffer.from([0x51, 0, 0, 0, 3]))).toThrow('impossible length');
});

it('encodes a query with its length in bytes', () => {
  expect(simpleQuery('é')).toEqual(Buffer.from([0x51, 0, 0, 0, 7, 0xc3, 0xa9, 0]));
});

it('reads the transaction status only from an answer that is complete', () => {
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x54]);
  expect(closingStatus(Buffer.concat([sync, ready]))).toBe('T');
  expect(closingStatus(ready.subarray(1))).toBeUndefined();
  expect(closingStatus(Buffer.concat([ready, sync]))).toBeUndefined();
  expect(closingStatus(Buffer.concat([ready, ready]))).toBeUndefined();
  expect(closingStatus(ready)).toBe('T');
  expect(closingStatus(Buffer.alloc(0))).toBeUndefined();
});

function message(tag: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(5, tag);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function chunks(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.filter((place) => place < bytes.length))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}
