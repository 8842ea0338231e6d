/** Knows which key belongs to which guarded field of an operation, and when that cannot be told. */

import type { KeyFormat, RequestKeys } from '../config/options.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import { readHeaderKey } from './header-key.ts';
import { checkKey, sourceNames } from './key-form.ts';
import type { Key, KeySource } from './key-form.ts';

/** What a guarded field of the operation says of its own key. */
export interface FieldKeySources {
  readonly coordinate: string;
  readonly responseName: string;
  /** Whether a call without a key is refused. */
  readonly required: boolean;
  /**
   * One entry per merged field node: `undefined` where the node has no directive, `null` where its key is
   * null or a variable without a value, else the value.
   */
  readonly directiveKeys: readonly unknown[];
  /** The value at the `keyArgument` path; `undefined` and `null` are absent. */
  readonly argumentKey: unknown;
}

/** What an operation says of its keys. */
export interface OperationKeySources {
  /** The guarded fields that will run: after `@skip` and `@include`. */
  readonly fields: readonly FieldKeySources[];
  readonly requestKeys: RequestKeys;
  /** Whether several entries of an HTTP batch came with this header. */
  readonly headerShared: boolean;
  /** Whether several entries of an HTTP batch came with this extension. */
  readonly extensionShared: boolean;
  readonly keyFormat: KeyFormat | undefined;
}

interface SourcedKey {
  readonly source: KeySource;
  readonly key: Key;
}

/**
 * Returns the key of each guarded field, in their order; `undefined` for a field that runs without a record.
 *
 * A request key is ignored when no guarded field runs: clients may send one with everything.
 *
 * @throws IdempotencyError KEY_INVALID, KEY_AMBIGUOUS, KEY_CONFLICT or KEY_MISSING; forms are checked before
 * keys are compared.
 */
export function resolveKeys(operation: OperationKeySources): readonly (Key | undefined)[] {
  const { fields, keyFormat } = operation;
  const [only] = fields;
  if (only === undefined) return [];
  const ownKeys = fields.map((field) => readOwnKeys(field, keyFormat));
  const requestKeys = readRequestKeys(operation, only.coordinate);
  refuseAmbiguity(operation, requestKeys);
  const keys = fields.map((field, index) => {
    const [first, ...others] = [...ownKeys[index]!, ...requestKeys];
    if (first === undefined) {
      if (field.required) throw keyMissing(field, fields);
      return undefined;
    }
    for (const other of others) refuseDisagreement(field, first, other);
    return first.key;
  });
  refuseSharing(fields, keys);
  return keys;
}

function readOwnKeys(field: FieldKeySources, format: KeyFormat | undefined): readonly SourcedKey[] {
  const keys: SourcedKey[] = [];
  const read = (source: KeySource, value: unknown): void => {
    keys.push({ source, key: checkKey(value, { coordinate: field.coordinate, source }, format) });
  };
  for (const value of field.directiveKeys) {
    if (value === undefined) continue;
    // Fails closed, whatever other sources say: the client meant to send a key and lost it.
    if (value === null) {
      throw new IdempotencyError(
        'IDEMPOTENCY_KEY_MISSING',
        `${nameOf(field)}: ${sourceNames.directive} has no value. Send a key in it, or leave the directive out.`,
      );
    }
    read('directive', value);
  }
  if (field.argumentKey !== undefined && field.argumentKey !== null) read('argument', field.argumentKey);
  return keys;
}

function readRequestKeys(operation: OperationKeySources, coordinate: string): readonly SourcedKey[] {
  const { requestKeys, keyFormat } = operation;
  const { extension, header } = requestKeys;
  const keys: SourcedKey[] = [];
  if (extension !== undefined && extension !== null) {
    keys.push({
      source: 'extension',
      key: checkKey(extension, { coordinate, source: 'extension' }, keyFormat),
    });
  }
  if (header !== undefined && (typeof header === 'string' || header.length > 0)) {
    const value = readHeaderKey(header, coordinate);
    keys.push({ source: 'header', key: checkKey(value, { coordinate, source: 'header' }, keyFormat) });
  }
  return keys;
}

function refuseAmbiguity(operation: OperationKeySources, requestKeys: readonly SourcedKey[]): void {
  const { fields, headerShared, extensionShared } = operation;
  for (const { source } of requestKeys) {
    if (source === 'header' ? headerShared : extensionShared) {
      throw new IdempotencyError(
        'IDEMPOTENCY_KEY_AMBIGUOUS',
        `${fields.map(nameOf).join(', ')}: ${sourceNames[source]} is shared by several entries of an HTTP ` +
          'batch. Put `@idempotent(key:)` with a key of its own on each field, or send the entries one by one.',
      );
    }
    if (fields.length > 1) {
      throw new IdempotencyError(
        'IDEMPOTENCY_KEY_AMBIGUOUS',
        `${sourceNames[source]} cannot tell which field its key is for: the operation has several ` +
          `(${fields.map(nameOf).join(', ')}). Put \`@idempotent(key:)\` with a key of its own on each field instead.`,
      );
    }
  }
}

function refuseDisagreement(field: FieldKeySources, first: SourcedKey, other: SourcedKey): void {
  if (first.key === other.key) return;
  const problem =
    first.source === other.source
      ? `merged selections of the field carry different keys in ${sourceNames[first.source]}`
      : `${sourceNames[first.source]} and ${sourceNames[other.source]} carry different keys`;
  throw new IdempotencyError('IDEMPOTENCY_KEY_CONFLICT', `${nameOf(field)}: ${problem}. Send one key.`);
}

function refuseSharing(fields: readonly FieldKeySources[], keys: readonly (Key | undefined)[]): void {
  const holders = new Map<Key, FieldKeySources>();
  for (const [index, key] of keys.entries()) {
    if (key === undefined) continue;
    const field = fields[index]!;
    const holder = holders.get(key);
    if (holder !== undefined) {
      throw new IdempotencyError(
        'IDEMPOTENCY_KEY_CONFLICT',
        `${nameOf(holder)} and ${nameOf(field)} have the same idempotency key. Each field needs a key of its own.`,
      );
    }
    holders.set(key, field);
  }
}

function keyMissing(field: FieldKeySources, fields: readonly FieldKeySources[]): IdempotencyError {
  const ways =
    fields.length > 1
      ? `Put ${sourceNames.directive} on the field`
      : `Send it in ${sourceNames.header} or ${sourceNames.extension}, or put ${sourceNames.directive} on the field`;
  return new IdempotencyError(
    'IDEMPOTENCY_KEY_MISSING',
    `${nameOf(field)} requires an idempotency key. ${ways}.`,
  );
}

function nameOf(field: FieldKeySources): string {
  const fieldName = field.coordinate.slice(field.coordinate.lastIndexOf('.') + 1);
  return fieldName === field.responseName
    ? field.coordinate
    : `${field.coordinate} (as "${field.responseName}")`;
}
