/** The guard: wraps the mutation root fields of a schema. Knows no server, no framework and no driver. */

import { randomBytes } from 'node:crypto';
import type { GraphQLFieldResolver, GraphQLResolveInfo } from 'graphql';
import type { Logger } from '../config/logger.ts';
import type { WrapResolver } from '../directive/apply-guard.ts';
import type { FieldRule } from '../directive/field-rule.ts';
import { findUnsupportedKeys } from '../directive/misplaced-keys.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import { StoreUnavailableError } from '../store/port.ts';
import type { Attempt } from '../store/port.ts';
import { isObserved, publish } from '../telemetry/channels.ts';
import type { Answer, PassageContext } from './answer.ts';
import type { GuardedCall } from './call.ts';
import { CurrentAttempts, currentAttempt } from './current.ts';
import type { Means } from './current.ts';
import { runUnleased } from './lease/run-unleased.ts';
import { pass } from './passage.ts';
import { planExecution } from './plan.ts';
import type { Plan, PlannerOptions } from './plan.ts';
import { storeUnavailable } from './refusals.ts';
import type { RequestRegistry } from './request-facts.ts';
import { rootFields } from './root-fields.ts';
import { runUnrecorded } from './transaction/run-unrecorded.ts';

export interface GuardOptions<TContext> extends PlannerOptions<TContext> {
  readonly passage: PassageContext;
  readonly requests: RequestRegistry;
  readonly authorizeReplay: ((context: TContext, info: GraphQLResolveInfo) => unknown) | undefined;
  readonly clientSignal: ((context: TContext) => AbortSignal | undefined) | undefined;
  readonly logger: Logger;
}

export interface Guard {
  readonly attempts: CurrentAttempts;
  /** Makes the wrapper for the fields of one schema; `rules` are its guarded fields. */
  wrapperFor(rules: () => ReadonlyMap<string, FieldRule>): WrapResolver;
  /** Resolves when no call is under way. */
  idle(): Promise<void>;
}

type Resolver = GraphQLFieldResolver<unknown, unknown>;

export function createGuard<TContext>(options: GuardOptions<TContext>): Guard {
  const attempts = new CurrentAttempts();
  const plans = new WeakMap<object, Promise<Plan>>();
  const underWay = new Set<Promise<unknown>>();
  const { passage } = options;

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
    const { coordinate } = rule;
    const enter = (means: Means, key: string | undefined, identity: Buffer): unknown => {
      const inside = attempts.enter(info, currentAttempt(means, { coordinate, key, identity }));
      return field.resolve(source, args, context, inside);
    };
    if (call !== undefined) {
      return pass(passage, {
        call,
        authorizeReplay: async () => void (await options.authorizeReplay?.(context as TContext, info)),
        clientSignal: () => options.clientSignal?.(context as TContext),
        resolve: (means) => enter(means, call.key, call.identity),
      });
    }
    const circumstances = { coordinate, retryAfterMs: passage.retryAfterMs };
    // No way around the plan may be a way around the guard.
    if (rule.required) throw storeUnavailable(circumstances, new Error('the call was not planned'));
    const identity = randomBytes(32);
    const run = (means: Means): unknown => enter(means, undefined, identity);
    const value =
      rule.mode === 'LEASE'
        ? await runUnleased(
            { ...passage, coordinate, identity, begin: () => beginOrRefuse(circumstances) },
            run,
          )
        : await runUnrecorded(circumstances, await beginOrRefuse(circumstances), run);
    return { outcome: 'ran', kind: 'result', value };
  }

  async function beginOrRefuse(circumstances: {
    readonly coordinate: string;
    readonly retryAfterMs: number;
  }): Promise<Attempt> {
    try {
      return await passage.durable.begin();
    } catch (error) {
      throw error instanceof StoreUnavailableError ? storeUnavailable(circumstances, error) : error;
    }
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
      tellRefusal(rule?.coordinate ?? `${info.parentType.name}.${info.fieldName}`, undefined, plan.error);
      throw plan.error;
    }
    if (rule === undefined) {
      outcomes?.set(responseName, 'unguarded');
      return field.resolve(...field.parameters);
    }
    const call = plan.calls.get(responseName);
    let ended: Ended;
    try {
      ended = await passGuarded(rule, call, field);
    } catch (error) {
      outcomes?.set(responseName, error instanceof IdempotencyError ? 'refused' : 'ran');
      tellRefusal(rule.coordinate, call, error);
      throw error;
    }
    outcomes?.set(responseName, ended.outcome);
    tell(rule.coordinate, call, ended.outcome === 'ran' ? 'executed' : ended.outcome);
    if (ended.kind === 'error') throw ended.error;
    return ended.value;
  }

  function tellRefusal(coordinate: string, call: GuardedCall | undefined, error: unknown): void {
    if (!(error instanceof IdempotencyError)) {
      tell(coordinate, call, 'failed');
      return;
    }
    tell(coordinate, call, 'refused', error.code);
    // Clients get no text of a store; operators get it here.
    if (error.cause !== undefined) {
      options.logger.warn(error.message, { code: error.code, identity: hexOf(call), cause: error.cause });
    }
  }

  return {
    attempts,
    wrapperFor: (rules) => (field, resolve) => (source, args, context, info) => {
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
      const running = run(rules(), rule, { resolve, parameters: [source, args, context, info] });
      underWay.add(running);
      const over = (): void => void underWay.delete(running);
      running.then(over, over);
      return running;
    },
    async idle() {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
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

function tell(
  coordinate: string,
  call: GuardedCall | undefined,
  outcome: 'executed' | 'replayed' | 'refused' | 'failed',
  code?: string,
): void {
  if (!isObserved()) return;
  publish({
    type: 'answered',
    coordinate,
    identity: hexOf(call),
    outcome,
    ...(code === undefined ? {} : { code }),
  });
}

function hexOf(call: GuardedCall | undefined): string | undefined {
  return call?.identity.toString('hex');
}
