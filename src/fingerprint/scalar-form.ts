/** Knows which values of scalars have a canonical form. Lists and objects inside them are the walk's business. */

import { types } from 'node:util';
import type { CanonicalWriter } from './canonical-writer.ts';
import { tags } from './canonical-writer.ts';

/** What became of a value: it was written, it is a container to be walked, or it has no form. */
export type ScalarForm = 'written' | 'list' | 'object' | { readonly unsupported: string };

const TYPED_ARRAY_PROTOTYPE = Object.getPrototypeOf(Uint8Array.prototype) as object;
const NATIVE_DATE_PROTOTYPE = Date.prototype;

/**
 * Writes a value that is no plain container.
 *
 * @param isFloat - Whether the type is `Float`. Elsewhere an integer that a double cannot tell from its
 * neighbours is refused: JSON may have rounded it, and two payloads would have one fingerprint.
 */
export function writeScalar(value: unknown, isFloat: boolean, writer: CanonicalWriter): ScalarForm {
  switch (typeof value) {
    case 'string':
      writer.string(value);
      return 'written';
    case 'number':
      return writeNumber(value, isFloat, writer);
    case 'boolean':
      writer.tag(value ? tags.true : tags.false);
      return 'written';
    case 'bigint':
      writer.bigint(value);
      return 'written';
    case 'undefined':
      writer.tag(tags.undefined);
      return 'written';
    case 'function':
      return { unsupported: 'a function' };
    case 'symbol':
      return { unsupported: 'a symbol' };
    case 'object':
      return value === null ? writeNull(writer) : writeObject(value, writer);
  }
}

function writeNull(writer: CanonicalWriter): ScalarForm {
  writer.tag(tags.null);
  return 'written';
}

function writeNumber(value: number, isFloat: boolean, writer: CanonicalWriter): ScalarForm {
  if (!Number.isFinite(value)) return { unsupported: 'a number that is not finite' };
  if (!isFloat && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    return { unsupported: 'an integer beyond 2^53, which may have been rounded (send it as a string)' };
  }
  writer.number(value);
  return 'written';
}

function writeObject(value: object, writer: CanonicalWriter): ScalarForm {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    return prototype === Array.prototype ? 'list' : { unsupported: 'an instance of a class' };
  }
  if (prototype === Object.prototype || prototype === null) return 'object';
  // Subclasses are refused in each case: what they add would be lost.
  if (types.isDate(value) && (prototype === NATIVE_DATE_PROTOTYPE || prototype === Date.prototype)) {
    return writeDate(value, writer);
  }
  if (prototype === URL.prototype) {
    writer.url(Reflect.get(URL.prototype, 'href', value));
    return 'written';
  }
  const binary = binaryOf(value, prototype as object);
  if (binary === undefined) return { unsupported: kindOf(value) };
  writer.binary(binary.view, binary.bytes);
  return 'written';
}

function writeDate(value: Date, writer: CanonicalWriter): ScalarForm {
  const milliseconds = NATIVE_DATE_PROTOTYPE.getTime.call(value);
  if (Number.isNaN(milliseconds)) return { unsupported: 'an invalid date' };
  writer.date(milliseconds);
  return 'written';
}

function binaryOf(value: object, prototype: object): { view: string; bytes: Uint8Array } | undefined {
  if (types.isArrayBuffer(value) && prototype === ArrayBuffer.prototype) {
    return { view: 'ArrayBuffer', bytes: new Uint8Array(value) };
  }
  if (types.isDataView(value) && prototype === DataView.prototype) {
    return { view: 'DataView', bytes: new Uint8Array(value.buffer, value.byteOffset, value.byteLength) };
  }
  const isPlainView =
    prototype === Buffer.prototype || Object.getPrototypeOf(prototype) === TYPED_ARRAY_PROTOTYPE;
  if (!types.isTypedArray(value) || !isPlainView) return undefined;
  const view = Reflect.get(TYPED_ARRAY_PROTOTYPE, Symbol.toStringTag, value) as string;
  return { view, bytes: new Uint8Array(value.buffer, value.byteOffset, value.byteLength) };
}

function kindOf(value: object): string {
  if (types.isPromise(value)) return 'a promise (an upload?)';
  if (types.isMap(value)) return 'a Map';
  if (types.isSet(value)) return 'a Set';
  if (types.isBoxedPrimitive(value)) return 'a boxed primitive';
  return 'an instance of a class';
}
