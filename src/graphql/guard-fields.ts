/** Puts the guard around the mutation root fields of a schema, whichever server executes it. */

import type { GraphQLFieldResolver, GraphQLResolveInfo } from 'graphql';
import type { Logger } from '../config/logger.ts';
import type { WrapResolver } from '../directive/apply-guard.ts';
import type { FieldRule } from '../directive/field-rule.ts';
import { findUnsupportedKeys } from '../directive/misplaced-keys.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import type { Answer } from '../guard/answer.ts';
import type { GuardedCall } from '../guard/call.ts';
import type { CurrentAttempt } from '../guard/current.ts';
import type { Guard } from '../guard/guard.ts';
import { storeUnavailable } from '../guard/refusals.ts';
import { tellRefusal } from '../guard/tell.ts';
import type { CurrentAttempts } from './current-attempts.ts';
import { planExecution } from './plan.ts';
import type { Plan, PlannerOptions } from './plan.ts';
import type { RequestRegistry } from './request-facts.ts';
import { rootFields } from './root-fields.ts';

export interface FieldGuardOptions<TContext> extends PlannerOptions<TContext> {
  readonly guard: Guard;
  readonly attempts: CurrentAttempts;
  readonly requests: RequestRegistry;
  readonly retryAfterMs: number;
  readonly authorizeReplay: ((context: TContext, info: GraphQLResolveInfo) => unknown) | undefined;
  readonly clientSignal: ((context: TContext) => AbortSignal | undefined) | undefined;
  readonly logger: Logger;
}

type Resolver = GraphQLFieldResolver<unknown, unknown>;

/** Makes what wraps the fields of one schema; `rules` are its guarded fields. */
export function guardFields<TContext>(
  options: FieldGuardOptions<TContext>,
): (rules: () => ReadonlyMap<string, FieldRule>) => WrapResolver {
  const { guard, attempts, logger } = options;
  const plans = new WeakMap<object, Promise<Plan>>();

  function planOf(
    rules: ReadonlyMap<string, FieldRule>,
    context: unknown,
    info: GraphQLResolveInfo,
  ): Promise<Plan> {
    let plan = plans.get(info.variableValues);
    if (plan === undefined) {
      plan = planExecution(options, rules, options.requests.get(context), context as TContext, info);
      plans.set(info.variableValues, plan);
    }
    return plan;
  }

  /** Runs a guarded field. Throws what the client is to be told where the call is refused, or not remembered. */
  async function passGuarded(
    rule: FieldRule,
    call: GuardedCall | undefined,
    field: FieldCall,
  ): Promise<Ended> {
    const [source, args, context, info] = field.parameters;
    const run = (attempt: CurrentAttempt): unknown =>
      field.resolve(source, args, context, attempts.enter(info, attempt));
    if (call !== undefined) {
      return guard.pass(call, {
        run,
        authorizeReplay: () => options.authorizeReplay?.(context as TContext, info),
        clientSignal: () => options.clientSignal?.(context as TContext),
      });
    }
    // No way around the plan may be a way around the guard.
    if (rule.required) throw unplanned(rule.coordinate);
    return { outcome: 'ran', kind: 'result', value: await guard.passWithoutKey(rule, run) };
  }

  function unplanned(coordinate: string): IdempotencyError {
    const error = storeUnavailable(
      { coordinate, retryAfterMs: options.retryAfterMs },
      new Error('the call was not planned'),
    );
    tellRefusal(logger, coordinate, undefined, error);
    return error;
  }

  async function run(
    rules: ReadonlyMap<string, FieldRule>,
    rule: FieldRule | undefined,
    field: FieldCall,
  ): Promise<unknown> {
    const [, , context, info] = field.parameters;
    const outcomes = options.requests.get(context)?.outcomes;
    const responseName = String(info.path.key);
    const plan = await planOf(rules, context, info);
    if (plan.kind === 'refused') {
      outcomes?.set(responseName, plan.error instanceof IdempotencyError ? 'refused' : 'ran');
      const coordinate = rule?.coordinate ?? `${info.parentType.name}.${info.fieldName}`;
      tellRefusal(logger, coordinate, undefined, plan.error);
      throw plan.error;
    }
    if (rule === undefined) {
      outcomes?.set(responseName, 'unguarded');
      return field.resolve(...field.parameters);
    }
    let ended: Ended;
    try {
      ended = await passGuarded(rule, plan.calls.get(responseName), field);
    } catch (error) {
      outcomes?.set(responseName, error instanceof IdempotencyError ? 'refused' : 'ran');
      throw error;
    }
    outcomes?.set(responseName, ended.outcome);
    if (ended.kind === 'error') throw ended.error;
    return ended.value;
  }

  return (rules) => (field, resolve) => (source, args, context, info) => {
    // A copy of a guarded schema, wrapped and guarded anew, has this guard twice around one resolver. The
    // inner one would meet the outer one's flight, and refuse every call as a duplicate of itself.
    if (attempts.entered(info)) return resolve(source, args, context, info);
    const { rule } = field;
    if (info.operation.operation !== 'mutation' || info.path.prev !== undefined) {
      if (rule === undefined) return resolve(source, args, context, info);
      throw new IdempotencyError(
        'IDEMPOTENCY_KEY_UNSUPPORTED',
        `${field.coordinate} is guarded, and can be called only as a root field of a mutation.`,
      );
    }
    // Operations without guarded fields and keys pay one look-up.
    if (rule === undefined && !concernsGuard(rules(), info)) return resolve(source, args, context, info);
    return guard.track(run(rules(), rule, { resolve, parameters: [source, args, context, info] }));
  };
}

type Ended = Answer | { readonly outcome: 'ran'; readonly kind: 'result'; readonly value: unknown };

interface FieldCall {
  readonly resolve: Resolver;
  readonly parameters: Parameters<Resolver>;
}

const concerned = new WeakMap<object, WeakMap<ReadonlyMap<string, FieldRule>, boolean>>();

/** Whether an operation selects a guarded field, or carries a key, in any of its forms. */
function concernsGuard(rules: ReadonlyMap<string, FieldRule>, info: GraphQLResolveInfo): boolean {
  let known = concerned.get(info.operation);
  if (known === undefined) concerned.set(info.operation, (known = new WeakMap()));
  let answer = known.get(rules);
  if (answer === undefined) {
    const root = info.parentType.name;
    const selected = [...rootFields({ ...info, variableValues: undefined }).values()].flat();
    answer =
      selected.some(({ name }) => rules.has(`${root}.${name.value}`)) ||
      findUnsupportedKeys(info.schema, info, rules).length > 0;
    known.set(rules, answer);
  }
  return answer;
}
