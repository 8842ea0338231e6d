/** Fingerprints of calls: of operations that are really executed, and of values of one custom scalar. */

import { buildSchema, executeSync, parse, validate } from 'graphql';
import type { DocumentNode, GraphQLArgument, GraphQLSchema } from 'graphql';
import { settings } from '../../src/config/settings.ts';
import { IdempotencyError } from '../../src/errors/idempotency-error.ts';
import { fingerprintOf } from '../../src/fingerprint/fingerprint.ts';
import type { FingerprintLimits } from '../../src/fingerprint/fingerprint.ts';

export const limits: FingerprintLimits = {
  maxPayloadBytes: settings.maxPayloadBytes.default,
  maxPayloadDepth: settings.maxPayloadDepth.default,
  maxPayloadNodes: settings.maxPayloadNodes.default,
};

export interface Rules {
  readonly omit?: readonly (readonly string[])[];
  readonly limits?: Partial<FingerprintLimits>;
}

/** Executes an operation and returns the fingerprint of each root field that ran, by response name. */
export function fingerprintsOf(
  schema: GraphQLSchema,
  source: string,
  variableValues: Record<string, unknown> = {},
  rules: Rules = {},
): Record<string, string> {
  const document = documentOf(schema, source);
  const fingerprints: Record<string, string> = {};
  const { errors } = executeSync({
    schema,
    document,
    variableValues,
    fieldResolver: (_parent, values: Record<string, unknown>, _context, info) => {
      const { args } = info.parentType.getFields()[info.fieldName]!;
      fingerprints[String(info.path.key)] = fingerprintOf({
        coordinate: `${info.parentType.name}.${info.fieldName}`,
        args,
        values,
        omit: rules.omit ?? [],
        limits: { ...limits, ...rules.limits },
      }).toString('hex');
      return null;
    },
  });
  if (errors !== undefined) throw errors[0]!.originalError ?? errors[0]!;
  return fingerprints;
}

let latest: { schema: GraphQLSchema; source: string; document: DocumentNode } | undefined;

function documentOf(schema: GraphQLSchema, source: string): DocumentNode {
  // Properties execute one document many times.
  if (latest?.schema === schema && latest.source === source) return latest.document;
  const document = parse(source);
  const invalid = validate(schema, document);
  if (invalid.length > 0) throw new Error(`invalid operation: ${invalid.join('\n')}\n${source}`);
  latest = { schema, source, document };
  return document;
}

/** Returns the one fingerprint of an operation with one root field. */
export function fingerprintOfOperation(...parameters: Parameters<typeof fingerprintsOf>): string {
  const fingerprints = Object.values(fingerprintsOf(...parameters));
  if (fingerprints.length !== 1) throw new Error(`expected one root field, got ${fingerprints.length}`);
  return fingerprints[0]!;
}

/** Returns the arguments of the first mutation field of a schema. */
export function argumentsOf(schema: GraphQLSchema): readonly GraphQLArgument[] {
  return Object.values(schema.getMutationType()!.getFields())[0]!.args;
}

const jsonArguments = argumentsOf(
  buildSchema('scalar JSON type Query { a: Int } type Mutation { pay(meta: JSON, other: JSON): Int }'),
);

/** Returns the fingerprint of `Mutation.pay(meta: value)`, where `meta` is of a custom scalar. */
export function fingerprintOfScalar(value: unknown, rules: Rules = {}): string {
  return fingerprintOf({
    coordinate: 'Mutation.pay',
    args: jsonArguments,
    values: { meta: value },
    omit: rules.omit ?? [],
    limits: { ...limits, ...rules.limits },
  }).toString('hex');
}

/** Returns the error with which a custom scalar's value is refused. */
export function refusalOfScalar(value: unknown, rules: Rules = {}): IdempotencyError {
  try {
    fingerprintOfScalar(value, rules);
  } catch (error) {
    if (error instanceof IdempotencyError) return error;
    throw error;
  }
  throw new Error('expected an IdempotencyError, but there is a fingerprint');
}
