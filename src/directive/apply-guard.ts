/** Puts a guard before every mutation of a schema; what the guard does is the caller's. */

import { defaultFieldResolver } from 'graphql';
import type { GraphQLField, GraphQLFieldResolver, GraphQLSchema } from 'graphql';
import { ConfigurationError } from '../errors/configuration-error.ts';
import { assertOwnDefinition } from './author-directive.ts';
import { clientDirective } from './client-directive.ts';
import { readFieldRule } from './field-rule.ts';
import type { FieldRule, MinTtls } from './field-rule.ts';
import { assertPlacement, assertRootApart } from './placement.ts';
import { serveClientDirective } from './served-directive.ts';

type Field = GraphQLField<unknown, unknown>;
type Resolver = GraphQLFieldResolver<unknown, unknown>;

/** Returns the resolver to put in a field's place. `rule` is `undefined` where the field is not guarded. */
export type WrapResolver = (
  field: { readonly coordinate: string; readonly rule: FieldRule | undefined; readonly field: Field },
  resolve: Resolver,
) => Resolver;

export interface ApplyGuardOptions {
  /** Whose guard it is: the same owner may apply again, another may not. */
  readonly owner: object;
  /** Whether guarded fields say in their description that they take a key. */
  readonly describe: boolean;
  readonly minTtl: MinTtls;
  readonly wrap: WrapResolver;
  /** Refuses the rules of a schema by throwing, before anything is wrapped. */
  readonly check?: (rules: ReadonlyMap<string, FieldRule>) => void;
}

interface MutationField {
  readonly coordinate: string;
  readonly field: Field;
  readonly rule: FieldRule | undefined;
}

const guardedSchemas = new WeakMap<
  GraphQLSchema,
  { readonly owner: object; readonly rules: ReadonlyMap<string, FieldRule> }
>();

/** Copies of a schema have new field objects with the old resolvers, so the mark is on the resolver. */
const guardedResolvers = new WeakMap<Resolver, { readonly owner: object; readonly resolve: Resolver }>();

const keyDemanded =
  'Requires an idempotency key: a retry with the same key gets the first answer instead of executing again.';
const keyWelcome =
  'Takes an idempotency key, which may be left out: a retry with the same key gets the first answer instead of executing again.';

/**
 * Guards a schema in place and returns the rules of its guarded fields by coordinate.
 *
 * All mutation root fields are wrapped, those without a rule too, because an operation may have to be
 * refused before any of its fields runs. Applied again by the same owner it changes nothing and returns the
 * same map. On throw the schema is as it was.
 *
 * @throws ConfigurationError naming the coordinate, for a rule that is misplaced or cannot be kept, and for
 * a schema that another owner has guarded.
 */
export function applyGuard(
  schema: GraphQLSchema,
  options: ApplyGuardOptions,
): ReadonlyMap<string, FieldRule> {
  const earlier = guardedSchemas.get(schema);
  if (earlier !== undefined) {
    if (earlier.owner !== options.owner) throw guardedByAnother('The schema');
    return earlier.rules;
  }

  const fields = readFields(schema, options);
  const rules = new Map<string, FieldRule>();
  for (const { coordinate, rule } of fields) if (rule !== undefined) rules.set(coordinate, rule);
  assertRootApart(schema, rules.size > 0);
  options.check?.(rules);

  // All refusals are behind us: a schema that is refused was not touched.
  for (const mutationField of fields) {
    wrapField(mutationField, options);
    if (options.describe) describeKey(mutationField);
  }
  if (rules.size > 0 || schema.getDirective(clientDirective.name)) serveClientDirective(schema);
  guardedSchemas.set(schema, { owner: options.owner, rules });
  return rules;
}

function readFields(schema: GraphQLSchema, { owner, minTtl }: ApplyGuardOptions): readonly MutationField[] {
  assertOwnDefinition(schema);
  assertPlacement(schema);
  const mutation = schema.getMutationType();
  if (mutation === undefined || mutation === null) return [];
  return Object.values(mutation.getFields()).map((field: Field) => {
    const coordinate = `${mutation.name}.${field.name}`;
    const guard = field.resolve && guardedResolvers.get(field.resolve);
    if (guard !== undefined && guard.owner !== owner) throw guardedByAnother(coordinate);
    return { coordinate, field, rule: readFieldRule(coordinate, field, minTtl) };
  });
}

function wrapField({ coordinate, field, rule }: MutationField, { owner, wrap }: ApplyGuardOptions): void {
  const guard = field.resolve && guardedResolvers.get(field.resolve);
  // A copy of a schema, or another one around the same type objects: the guard is made anew around the
  // resolver within. Two guards would claim one key, and the second would find it taken by the first.
  const resolve = guard?.resolve ?? field.resolve ?? defaultFieldResolver;
  const guarded = wrap({ coordinate, rule, field }, resolve);
  // Left as it was, it is still the user's, and other schemas may use it unguarded.
  if (guarded === resolve) return;
  guardedResolvers.set(guarded, { owner, resolve });
  field.resolve = guarded;
}

function describeKey({ field, rule }: MutationField): void {
  if (rule === undefined) return;
  const sentence = rule.required ? keyDemanded : keyWelcome;
  if (field.description?.endsWith(sentence)) return;
  field.description = field.description ? `${field.description}\n\n${sentence}` : sentence;
}

function guardedByAnother(what: string): ConfigurationError {
  return new ConfigurationError(
    `${what}: is already guarded by another instance of graphql-idempotency; apply one instance to a schema.`,
  );
}
