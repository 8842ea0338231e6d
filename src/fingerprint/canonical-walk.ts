/**
 * Knows how coerced arguments become canonical bytes, directed by their types; the tokens are the writer's.
 *
 * Arguments and input fields are written as objects: ascending by name, without those that are absent, omitted,
 * or canonically equal to their schema default. So a default in the schema is no part of the fingerprint, and
 * adding one in a deploy changes no fingerprint of retries under way. Custom scalars are walked untyped.
 *
 * Iterative, because clients choose the depth, and JSON that parses would overflow the stack of a recursion.
 */

import { GraphQLFloat, GraphQLID, isEnumType, isInputObjectType, isListType, isNonNullType } from 'graphql';
import type { GraphQLInputType } from 'graphql';
import { CanonicalWriter, tags } from './canonical-writer.ts';
import { enumNameOf, sortedDefinitions } from './input-definitions.ts';
import type { InputDefinition } from './input-definitions.ts';
import { NOTHING_OMITTED } from './omitted-paths.ts';
import type { OmittedPaths } from './omitted-paths.ts';
import { PayloadRefusal } from './payload-refusal.ts';
import { writeScalar } from './scalar-form.ts';

/** How much of a client's arguments is looked at. */
export interface PayloadLimits {
  /** Length of the canonical bytes. */
  readonly maxPayloadBytes: number;
  /** Nesting of lists and objects. */
  readonly maxPayloadDepth: number;
  /** Lists, objects and the values in them. */
  readonly maxPayloadNodes: number;
}

/** Coerced input: the arguments of a field, or an input object. */
export interface CoercedInput {
  readonly definitions: readonly InputDefinition[];
  readonly values: object;
  readonly omit: OmittedPaths;
}

/** Gives a definition's name and default in canonical form, `undefined` if the default has none. */
export type DefaultForms = (definition: InputDefinition, omit: OmittedPaths) => Buffer | undefined;

interface FieldsFrame extends CoercedInput {
  readonly kind: 'fields';
  readonly container: object;
  next: number;
  /** Where the field written last begins; -1 when there is none to be settled. */
  mark: number;
}

interface ListFrame {
  readonly kind: 'list';
  readonly container: readonly unknown[];
  /** `undefined` inside a custom scalar. */
  readonly itemType: GraphQLInputType | undefined;
  readonly omit: OmittedPaths;
  readonly length: number;
  next: number;
}

interface PropertiesFrame {
  readonly kind: 'properties';
  readonly container: object;
  readonly keys: readonly string[];
  next: number;
}

type Frame = FieldsFrame | ListFrame | PropertiesFrame;

/**
 * Returns the canonical bytes of coerced input.
 *
 * @throws PayloadRefusal for what is too large or has no canonical form.
 */
export function canonicalBytes(
  input: CoercedInput,
  limits: PayloadLimits,
  defaultFormOf: DefaultForms,
): Buffer {
  return new CanonicalWalk(limits, defaultFormOf).run(input);
}

/** One walk: its stack, its budget and its output. */
class CanonicalWalk {
  readonly #limits: PayloadLimits;
  readonly #defaultFormOf: DefaultForms;
  readonly #writer: CanonicalWriter;
  readonly #stack: Frame[] = [];
  readonly #ancestors = new Set<object>();
  #nodes = 0;

  constructor(limits: PayloadLimits, defaultFormOf: DefaultForms) {
    this.#limits = limits;
    this.#defaultFormOf = defaultFormOf;
    this.#writer = new CanonicalWriter(limits.maxPayloadBytes, () => this.#tooLarge('maxPayloadBytes'));
  }

  run(input: CoercedInput): Buffer {
    try {
      this.#pushFields(input.values, input.definitions, input.omit);
      for (let frame = this.#stack.at(-1); frame !== undefined; frame = this.#stack.at(-1)) this.#step(frame);
    } catch (error) {
      if (error instanceof PayloadRefusal) throw error;
      // A getter or a proxy of the value threw.
      throw this.#unsupported('a value that cannot be read', error);
    }
    return this.#writer.bytesFrom(0);
  }

  #step(frame: Frame): void {
    switch (frame.kind) {
      case 'fields':
        return this.#stepFields(frame);
      case 'list':
        return this.#stepList(frame);
      case 'properties':
        return this.#stepProperties(frame);
    }
  }

  #stepFields(frame: FieldsFrame): void {
    if (frame.mark !== -1) this.#settle(frame, frame.definitions[frame.next - 1]!);
    const definition = frame.definitions[frame.next];
    if (definition === undefined) return this.#pop(tags.objectEnd);
    frame.next += 1;
    const omit = frame.omit.children.get(definition.name) ?? NOTHING_OMITTED;
    // Own properties only: a field may be called `constructor`, and coerced input may have a prototype.
    if (omit.whole || !Object.hasOwn(frame.values, definition.name)) return;
    const value = (frame.values as Readonly<Record<string, unknown>>)[definition.name];
    if (value === undefined) return;
    if (definition.defaultValue !== undefined) {
      // Before the comparison, so that the form is known before any resolver can change the default in place.
      this.#defaultFormOf(definition, omit);
      // What coercion filled in is the default itself, which may have no canonical form.
      if (value === definition.defaultValue) return;
    }
    frame.mark = this.#writer.length;
    this.#writer.string(definition.name);
    this.#enter(value, definition.type, omit);
  }

  /** Takes back the field written last if it is equal to its default. */
  #settle(frame: FieldsFrame, definition: InputDefinition): void {
    if (definition.defaultValue !== undefined) {
      const omit = frame.omit.children.get(definition.name) ?? NOTHING_OMITTED;
      const isDefault = this.#defaultFormOf(definition, omit)?.equals(this.#writer.bytesFrom(frame.mark));
      if (isDefault === true) this.#writer.truncate(frame.mark);
    }
    frame.mark = -1;
  }

  #stepList(frame: ListFrame): void {
    if (frame.next === frame.length) return this.#pop(tags.listEnd);
    const item = frame.container[frame.next];
    frame.next += 1;
    this.#enter(item, frame.itemType, frame.omit);
  }

  #stepProperties(frame: PropertiesFrame): void {
    const key = frame.keys[frame.next];
    if (key === undefined) return this.#pop(tags.objectEnd);
    frame.next += 1;
    const value = (frame.container as Readonly<Record<string, unknown>>)[key];
    if (value === undefined) return;
    this.#writer.string(key);
    this.#enter(value, undefined, NOTHING_OMITTED);
  }

  #enter(value: unknown, type: GraphQLInputType | undefined, omit: OmittedPaths): void {
    this.#nodes += 1;
    if (this.#nodes > this.#limits.maxPayloadNodes) this.#tooLarge('maxPayloadNodes');
    if (type === undefined || value === null || value === undefined) return this.#enterUntyped(value, false);
    const nullable = isNonNullType(type) ? type.ofType : type;
    if (isListType(nullable)) {
      // A default written in code may be a list of one without its brackets.
      return this.#pushList(Array.isArray(value) ? value : [value], nullable.ofType, omit);
    }
    if (isInputObjectType(nullable)) {
      if (typeof value !== 'object') throw this.#unsupported('a value that is not of its type');
      return this.#pushFields(value, sortedDefinitions(nullable.getFields()), omit);
    }
    if (isEnumType(nullable)) {
      const name = enumNameOf(nullable, value);
      if (name === undefined) throw this.#unsupported('a value that is not of its type');
      return this.#writer.enum(name);
    }
    // A default written in code may be a number.
    const id = nullable.name === GraphQLID.name && typeof value === 'number' ? String(value) : value;
    this.#enterUntyped(id, nullable.name === GraphQLFloat.name);
  }

  #enterUntyped(value: unknown, isFloat: boolean): void {
    const form = writeScalar(value, isFloat, this.#writer);
    if (form === 'written') return;
    if (form === 'list') return this.#pushUntypedList(value as readonly unknown[]);
    if (form === 'object') return this.#pushProperties(value as object);
    throw this.#unsupported(form.unsupported);
  }

  #pushFields(container: object, definitions: readonly InputDefinition[], omit: OmittedPaths): void {
    const frame = {
      kind: 'fields',
      container,
      definitions,
      values: container,
      omit,
      next: 0,
      mark: -1,
    } as const;
    this.#push(frame, tags.objectStart);
  }

  #pushUntypedList(items: readonly unknown[]): void {
    // The length first: the keys of a long list are long to enumerate.
    this.#expectNodes(items.length);
    if (Object.keys(items).length !== items.length) {
      throw this.#unsupported('a list with holes or with properties of its own');
    }
    this.#pushList(items, undefined, NOTHING_OMITTED);
  }

  #pushList(items: readonly unknown[], itemType: GraphQLInputType | undefined, omit: OmittedPaths): void {
    const { length } = items;
    this.#expectNodes(length);
    this.#push({ kind: 'list', container: items, itemType, omit, length, next: 0 }, tags.listStart);
  }

  #pushProperties(container: object): void {
    const keys = Object.keys(container);
    this.#expectNodes(keys.length);
    // Before sorting: long keys that begin alike are long to compare.
    this.#writer.expect(keys.reduce((total, key) => total + key.length, 0));
    if (
      Object.getOwnPropertySymbols(container).some((key) =>
        Object.prototype.propertyIsEnumerable.call(container, key),
      )
    ) {
      throw this.#unsupported('an object with a symbol for a key');
    }
    keys.sort();
    this.#push({ kind: 'properties', container, keys, next: 0 }, tags.objectStart);
  }

  #push(frame: Frame, startTag: number): void {
    if (this.#ancestors.has(frame.container)) throw this.#unsupported('a cycle');
    // The arguments themselves are the level 0.
    if (this.#stack.length > this.#limits.maxPayloadDepth) this.#tooLarge('maxPayloadDepth');
    this.#writer.tag(startTag);
    this.#ancestors.add(frame.container);
    this.#stack.push(frame);
  }

  #pop(endTag: number): void {
    this.#writer.tag(endTag);
    this.#ancestors.delete(this.#stack.pop()!.container);
  }

  #expectNodes(count: number): void {
    if (count > this.#limits.maxPayloadNodes - this.#nodes) this.#tooLarge('maxPayloadNodes');
  }

  #tooLarge(limit: keyof PayloadLimits): never {
    const problem = `${limit} (${this.#limits[limit]})`;
    throw new PayloadRefusal('IDEMPOTENCY_PAYLOAD_TOO_LARGE', problem, this.#path());
  }

  #unsupported(problem: string, cause?: unknown): PayloadRefusal {
    return new PayloadRefusal('IDEMPOTENCY_PAYLOAD_UNSUPPORTED', problem, this.#path(), cause);
  }

  #path(): string {
    let path = '';
    for (const frame of this.#stack) {
      if (frame.kind === 'properties' || (frame.kind === 'list' && frame.itemType === undefined)) break;
      if (frame.next === 0) break;
      if (frame.kind === 'list') path += `[${frame.next - 1}]`;
      else path += `${path === '' ? '' : '.'}${frame.definitions[frame.next - 1]!.name}`;
    }
    return path;
  }
}
