/**
 * Decides, before the first root field of a mutation runs, which of them are guarded and under which
 * identity and fingerprint. Once per execution: a document's nodes are shared by requests, its variable
 * values are not.
 */

import { Kind, getArgumentValues } from 'graphql';
import type { FieldNode, GraphQLField, GraphQLResolveInfo } from 'graphql';
import type { KeyFormat, RequestKeys } from '../config/options.ts';
import type { FieldRule } from '../directive/field-rule.ts';
import { findUnsupportedKeys } from '../directive/misplaced-keys.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import { FINGERPRINT_VERSION, fingerprintOf } from '../fingerprint/fingerprint.ts';
import type { FingerprintLimits } from '../fingerprint/fingerprint.ts';
import { identityOf, scopeHashOf } from '../key/identity.ts';
import { resolveKeys } from '../key/resolve-keys.ts';
import { resolveScope } from '../key/scope.ts';
import type { GuardedCall } from '../guard/call.ts';
import { keyUnsupported } from '../guard/refusals.ts';
import type { RequestFacts } from './request-facts.ts';
import { rootFields } from './root-fields.ts';

export type Plan =
  | { readonly kind: 'refused'; readonly error: unknown }
  /** By response name. A guarded field without a key, where none is required, has no call. */
  | { readonly kind: 'planned'; readonly calls: ReadonlyMap<string, GuardedCall> };

export interface PlannerOptions<TContext> {
  readonly scope: (context: TContext, info: GraphQLResolveInfo) => unknown;
  readonly requestKeys: ((context: TContext) => RequestKeys | Promise<RequestKeys>) | undefined;
  readonly keyFormat: KeyFormat | undefined;
  readonly namespace: string;
  readonly ttl: number;
  readonly maxFieldsPerOperation: number;
  readonly limits: FingerprintLimits;
}

interface GuardedField {
  readonly responseName: string;
  readonly nodes: readonly FieldNode[];
  readonly field: GraphQLField<unknown, unknown>;
  readonly rule: FieldRule;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Makes the plan of an execution. Never rejects: what goes wrong is the refusal of every root field. */
export async function planExecution<TContext>(
  options: PlannerOptions<TContext>,
  rules: ReadonlyMap<string, FieldRule>,
  facts: RequestFacts | undefined,
  context: TContext,
  info: GraphQLResolveInfo,
): Promise<Plan> {
  try {
    const unsupported = findUnsupportedKeys(info.schema, info, rules);
    if (unsupported.length > 0) throw keyUnsupported(unsupported);
    const fields = guardedFields(options, rules, info);
    const keys = resolveKeys({
      fields: fields.map(sourcesOf(info)),
      requestKeys: facts?.keys ?? (await options.requestKeys?.(context)) ?? {},
      headerShared: facts?.headerShared ?? false,
      extensionShared: facts?.extensionShared ?? false,
      keyFormat: options.keyFormat,
    });
    const keyed = fields.flatMap((field, index) => {
      const key = keys[index];
      return key === undefined ? [] : [{ ...field, key }];
    });
    if (keyed.length === 0) return { kind: 'planned', calls: new Map() };

    const coordinates = keyed.map(({ rule }) => rule.coordinate);
    const scope = await resolveScope(() => options.scope(context, info), coordinates);
    const scopeHash = scopeHashOf(options.namespace, scope);
    const calls = keyed.map(({ field, rule, values, key }): GuardedCall =>
      Object.freeze({
        coordinate: rule.coordinate,
        rule,
        key,
        identity: identityOf({ namespace: options.namespace, scope, key }),
        scopeHash,
        fingerprint: fingerprintOf({
          coordinate: rule.coordinate,
          args: field.args,
          values,
          omit: omittedPaths(rule),
          limits: options.limits,
        }),
        fingerprintVersion: FINGERPRINT_VERSION,
        ttlMs: rule.ttlMs ?? options.ttl,
      }),
    );
    return {
      kind: 'planned',
      calls: new Map(calls.map((call, index) => [keyed[index]!.responseName, call])),
    };
  } catch (error) {
    return { kind: 'refused', error };
  }
}

function guardedFields<TContext>(
  options: PlannerOptions<TContext>,
  rules: ReadonlyMap<string, FieldRule>,
  info: GraphQLResolveInfo,
): readonly GuardedField[] {
  const root = info.schema.getMutationType()!;
  const definitions = root.getFields();
  const guarded: GuardedField[] = [];
  for (const [responseName, nodes] of rootFields(info)) {
    const field = definitions[nodes[0]!.name.value];
    const rule = field === undefined ? undefined : rules.get(`${root.name}.${field.name}`);
    if (field === undefined || rule === undefined) continue;
    const values = argumentsOf(field, nodes[0]!, info);
    if (values !== undefined) guarded.push({ responseName, nodes, field, rule, values });
    if (guarded.length > options.maxFieldsPerOperation) {
      throw new IdempotencyError(
        'IDEMPOTENCY_PAYLOAD_TOO_LARGE',
        `The operation has more than ${options.maxFieldsPerOperation} guarded fields. Send several operations.`,
      );
    }
  }
  return guarded;
}

/** `undefined` where the arguments are wrong: the executor refuses the field itself, and never calls it. */
function argumentsOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  info: GraphQLResolveInfo,
): Readonly<Record<string, unknown>> | undefined {
  try {
    return getArgumentValues(field, node, info.variableValues);
  } catch {
    return undefined;
  }
}

const omitted = new WeakMap<FieldRule, readonly (readonly string[])[]>();

/** One list per rule: the fingerprint remembers what it made of a list. */
function omittedPaths(rule: FieldRule): readonly (readonly string[])[] {
  let paths = omitted.get(rule);
  if (paths === undefined) {
    paths = rule.keyArgument === undefined ? rule.ignore : [rule.keyArgument, ...rule.ignore];
    omitted.set(rule, paths);
  }
  return paths;
}

function sourcesOf(info: GraphQLResolveInfo) {
  return ({ responseName, nodes, rule, values }: GuardedField) => ({
    coordinate: rule.coordinate,
    responseName,
    required: rule.required,
    directiveKeys: nodes.map((node) => directiveKeyOf(node, info)),
    argumentKey: valueAt(values, rule.keyArgument),
  });
}

/** Read from the node and not with `getDirectiveValues`, which throws where a variable is null. */
function directiveKeyOf(node: FieldNode, info: GraphQLResolveInfo): unknown {
  const directive = node.directives?.find(({ name }) => name.value === 'idempotent');
  if (directive === undefined) return undefined;
  const value = directive.arguments?.find(({ name }) => name.value === 'key')?.value;
  switch (value?.kind) {
    case Kind.STRING:
      return value.value;
    case Kind.VARIABLE:
      return info.variableValues[value.name.value] ?? null;
    case Kind.NULL:
    case undefined:
      return null;
    default:
      return value;
  }
}

function valueAt(values: Readonly<Record<string, unknown>>, path: readonly string[] | undefined): unknown {
  let current: unknown = path === undefined ? undefined : values;
  for (const name of path ?? []) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name)) return undefined;
    current = (current as Record<string, unknown>)[name];
  }
  return current;
}
