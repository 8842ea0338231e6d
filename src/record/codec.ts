/** Turns a resolver's result into bytes and back, losing nothing that a later selection could ask for. */

import { DevalueError, defaultStringifyOperations, parse, stringify } from 'devalue';
import type { StringifyOperations } from 'devalue';

/**
 * Deepest nesting. Without a bound, code that is compiled by now could encode and commit what a process that
 * has just started has not the stack to decode: then no retry would ever get its answer.
 */
const MAX_DEPTH = 500;

/** Stored with every body: bodies are decoded by the rules that encoded them. */
export const CODEC_VERSION = 1;

/** Says why a value cannot be stored, and where in it. */
export class UnserializableError extends Error {
  override readonly name = 'UnserializableError';
  /** Path inside the value, such as `.lines[0].total`; empty for the value itself. */
  readonly path: string;

  constructor(reason: string, path: string, options?: ErrorOptions) {
    super(reason, options);
    this.path = path;
  }
}

/**
 * Encodes plain data, `undefined`, `bigint`, `Date`, `URL`, `Map`, `Set`, `Buffer` and typed arrays.
 *
 * @throws UnserializableError for functions, promises, symbols and instances of other classes: on a replay
 * they would come back as something else.
 */
export function encode(value: unknown): Buffer {
  try {
    return Buffer.from(stringify(value, reducers, { operations: operationsFor(value) }));
  } catch (error) {
    if (error instanceof UnserializableError) throw error;
    if (error instanceof DevalueError) throw new UnserializableError(describe(error.value), error.path);
    throw new UnserializableError('reading it failed', '', { cause: error });
  }
}

/** Decodes what `encode` made. Each call builds new objects, so callers may change what they get. */
export function decode(body: Buffer): unknown {
  return parse(body.toString(), revivers);
}

const reducers = {
  Buffer: (value: unknown): string | false =>
    Buffer.isBuffer(value) &&
    Object.getPrototypeOf(value) === Buffer.prototype &&
    `${value.toString('base64')}.`,
};

const revivers = {
  Buffer: (text: string): Buffer => Buffer.from(text.slice(0, -1), 'base64'),
};

const TypedArray = Object.getPrototypeOf(Uint8Array) as abstract new () => unknown;

/** The classes that come back as they went; subclasses and everything else would not. */
const known = new Set<unknown>([
  null,
  ...[Object, Array, Date, Map, Set, URL, URLSearchParams, RegExp, ArrayBuffer].map((type) => type.prototype),
]);

function operationsFor(root: unknown): Partial<StringifyOperations> {
  const depths = new Map<unknown, number>([[root, 1]]);

  /** Notes how deep a value lies when the walk reaches it first; that is when the walk goes into it. */
  function enter(parent: unknown, child: unknown): unknown {
    if (typeof child !== 'object' || child === null || depths.has(child)) return child;
    const depth = depths.get(parent)! + 1;
    if (depth > MAX_DEPTH) throw new UnserializableError('it is nested too deeply', '');
    depths.set(child, depth);
    return child;
  }

  return {
    ...operations,
    get: (value, key) => enter(value, defaultStringifyOperations.get(value, key)),
    valuesOf: (set) => Array.from(set as Set<unknown>, (value) => enter(set, value)),
    entriesOf: (map) =>
      Array.from(map as Map<unknown, unknown>, ([key, value]) => [enter(map, key), enter(map, value)]),
  };
}

const operations = {
  // By its prototype, because a subclass, or an object with a `Symbol.toStringTag`, says that it is what it
  // is not.
  tagOf: (value: object): string => {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === null || prototype === Object.prototype) return 'Object';
    const restorable = known.has(prototype) || Object.getPrototypeOf(prototype) === TypedArray.prototype;
    return restorable ? defaultStringifyOperations.tagOf(value) : 'foreign';
  },
  shapeOf: (value: object): ReturnType<typeof defaultStringifyOperations.shapeOf> =>
    known.has(Object.getPrototypeOf(value))
      ? defaultStringifyOperations.shapeOf(value)
      : { kind: 'not-plain' },
  // A view is stored as the bytes that it shows, never with the rest of the buffer behind it.
  viewInfo: (view: ArrayBufferView): ReturnType<typeof defaultStringifyOperations.viewInfo> =>
    defaultStringifyOperations.viewInfo((view as Uint8Array).slice()),
};

function describe(value: unknown): string {
  if (typeof value === 'function') return 'it is a function';
  if (typeof value === 'symbol') return 'it is a symbol';
  if (value instanceof Promise) return 'it is a promise; await it in the resolver';
  if (typeof value === 'object' && value !== null) {
    const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
    if (typeof name === 'string' && name !== 'Object' && name !== '') {
      return `it is an instance of ${name}; return plain data`;
    }
  }
  return 'it is not plain data';
}
