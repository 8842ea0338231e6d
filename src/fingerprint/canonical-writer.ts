/**
 * Knows the canonical encoding, version 1: a sequence of tokens in which no token is the beginning of another,
 * so that two different values never have the same bytes.
 *
 *     value      = 7A                            null
 *                | 75                            undefined, as an element of a list
 *                | 74 | 66                       true | false
 *                | 6E double                     number; -0 is written as 0
 *                | 69 length digits              bigint: lower-case hexadecimal digits in ASCII, "-" in front
 *                | string
 *                | 65 string                     enum value, by its name
 *                | 64 double                     Date: milliseconds since 1970 UTC
 *                | 6C string                     URL: its href
 *                | 62 string length bytes        binary data: the name of its view ("Uint8Array", Buffers
 *                                                included), then its bytes
 *                | 5B value* 5D                  list
 *                | 7B ( string value )* 7D       object: names ascending by UTF-16 code unit
 *     string     = 73 length bytes               in UTF-8, if well-formed
 *                | 53 length bytes               in UTF-16LE, if there is a lone surrogate, which UTF-8 would
 *                                                fold into U+FFFD
 *     double     = 8 bytes, IEEE 754, big-endian
 *     length     = number of bytes that follow, 32 bits, big-endian
 *
 * Tags are single bytes, here in hexadecimal.
 */

const LONE_SURROGATE = /\p{Surrogate}/u;
const INITIAL_CAPACITY = 512;

/** The tags of tokens that carry nothing else. */
export const tags = {
  null: 0x7a,
  undefined: 0x75,
  true: 0x74,
  false: 0x66,
  listStart: 0x5b,
  listEnd: 0x5d,
  objectStart: 0x7b,
  objectEnd: 0x7d,
} as const;

const NUMBER = 0x6e;
const BIGINT = 0x69;
const STRING = 0x73;
const ILL_FORMED_STRING = 0x53;
const ENUM = 0x65;
const DATE = 0x64;
const URL_TAG = 0x6c;
const BINARY = 0x62;

/** Collects canonical bytes up to a limit, which is checked before anything is encoded. */
export class CanonicalWriter {
  readonly #maxLength: number;
  readonly #refuse: () => never;
  #bytes = Buffer.allocUnsafe(INITIAL_CAPACITY);
  #length = 0;

  /** @param refuse - Called when the bytes would exceed `maxLength`; it must throw. */
  constructor(maxLength: number, refuse: () => never) {
    this.#maxLength = maxLength;
    this.#refuse = refuse;
  }

  get length(): number {
    return this.#length;
  }

  /** Returns a view of the bytes from `start` on, valid until the next write. */
  bytesFrom(start: number): Buffer {
    return this.#bytes.subarray(start, this.#length);
  }

  /** Forgets the bytes from `length` on. */
  truncate(length: number): void {
    this.#length = length;
  }

  /** Refuses now what could not be written anyway, so that it need not be sorted or converted first. */
  expect(byteLength: number): void {
    if (byteLength > this.#maxLength - this.#length) this.#refuse();
  }

  tag(tag: number): void {
    this.#reserve(1);
    this.#bytes[this.#length] = tag;
    this.#length += 1;
  }

  number(value: number): void {
    this.tag(NUMBER);
    this.#double(value);
  }

  date(milliseconds: number): void {
    this.tag(DATE);
    this.#double(milliseconds);
  }

  bigint(value: bigint): void {
    // Compared before it is converted; a limit of infinity would be no number of bits.
    const maxBits = (this.#maxLength - this.#length) * 4;
    if (Number.isSafeInteger(maxBits) && BigInt.asIntN(maxBits + 1, value) !== value) this.#refuse();
    this.#sized(BIGINT, value.toString(16), 'latin1');
  }

  string(value: string): void {
    // Every UTF-16 code unit takes at least one byte in UTF-8.
    this.expect(value.length);
    if (LONE_SURROGATE.test(value)) this.#sized(ILL_FORMED_STRING, value, 'utf16le');
    else this.#sized(STRING, value, 'utf8');
  }

  enum(name: string): void {
    this.tag(ENUM);
    this.string(name);
  }

  url(href: string): void {
    this.tag(URL_TAG);
    this.string(href);
  }

  binary(view: string, bytes: Uint8Array): void {
    this.tag(BINARY);
    this.string(view);
    this.#reserve(4 + bytes.length);
    this.#bytes.writeUInt32BE(bytes.length, this.#length);
    this.#bytes.set(bytes, this.#length + 4);
    this.#length += 4 + bytes.length;
  }

  #sized(tag: number, text: string, encoding: 'utf8' | 'utf16le' | 'latin1'): void {
    const byteLength = Buffer.byteLength(text, encoding);
    this.#reserve(5 + byteLength);
    this.#bytes[this.#length] = tag;
    this.#bytes.writeUInt32BE(byteLength, this.#length + 1);
    this.#bytes.write(text, this.#length + 5, encoding);
    this.#length += 5 + byteLength;
  }

  #double(value: number): void {
    this.#reserve(8);
    this.#bytes.writeDoubleBE(value === 0 ? 0 : value, this.#length);
    this.#length += 8;
  }

  #reserve(byteLength: number): void {
    this.expect(byteLength);
    const needed = this.#length + byteLength;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
