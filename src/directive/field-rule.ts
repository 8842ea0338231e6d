/** What a schema author said of one field, from SDL or from `extensions.idempotent`. */

import { coerceInputValue, getDirectiveValues } from 'graphql';
import type { ConstDirectiveNode, GraphQLField } from 'graphql';
import { durationMs } from '../config/duration.ts';
import { nearestName } from '../config/nearest-name.ts';
import { ConfigurationError } from '../errors/configuration-error.ts';
import { readIgnoredPath, readKeyPath } from './argument-path.ts';
import type { ArgumentPathOwner } from './argument-path.ts';
import { authorDirective } from './author-directive.ts';

/** How one mutation root field is guarded. */
export interface FieldRule {
  /** The field's schema coordinate, such as `Mutation.pay`. */
  readonly coordinate: string;
  /** Where the effect happens: in the attempt's transaction, or outside Postgres. */
  readonly mode: 'TRANSACTION' | 'LEASE';
  /** What a call is told while another with its key is executing: 409 at once, or after a bounded wait. */
  readonly inFlight: 'REJECT' | 'WAIT';
  /** LEASE: what a retry may do after an attempt was abandoned. */
  readonly abandoned: 'REFUSE' | 'RERUN';
  /** Whether a call without a key is refused. */
  readonly required: boolean;
  /** How long a completed record replays; `undefined`: as long as the `ttl` setting says. */
  readonly ttlMs: number | undefined;
  /** Path of the argument that carries the key. */
  readonly keyArgument: readonly string[] | undefined;
  /** Paths of the arguments that are left out of the fingerprint. */
  readonly ignore: readonly (readonly string[])[];
}

/** What the `ttl` of a field must exceed, by its mode. */
export interface MinTtls {
  readonly transactionMs: number;
  readonly leaseMs: number;
}

type MinTtl = readonly [what: string, ms: number];

interface Statement {
  readonly values: DirectiveValues;
  /** The names that were written out, defaults included. */
  readonly written: readonly string[];
}

interface DirectiveValues {
  readonly mode: 'TRANSACTION' | 'LEASE';
  readonly required: boolean;
  readonly ttl?: string | null;
  readonly keyArgument?: string | null;
  readonly ignore: readonly string[];
  readonly inFlight: 'REJECT' | 'WAIT';
  readonly abandoned: 'REFUSE' | 'RERUN';
}

/** Further away lies no date that Postgres's clock and ours agree on. */
const MAX_TTL_MS = 100 * 365 * 86_400_000;

const argumentNames = authorDirective.args.map((arg) => arg.name);

/**
 * Returns the rule of a mutation root field, `undefined` where the field is not guarded.
 *
 * @throws ConfigurationError naming the coordinate, for anything that cannot be kept as it is written.
 */
export function readFieldRule(
  coordinate: string,
  field: GraphQLField<unknown, unknown>,
  minTtl: MinTtls,
): FieldRule | undefined {
  const inSdl = readSdl(coordinate, field);
  const inCode = readExtension(coordinate, field.extensions['idempotent']);
  if (inSdl !== undefined && inCode !== undefined && !sayTheSame(inSdl, inCode)) {
    throw new ConfigurationError(
      `${coordinate}: @idempotent and extensions.idempotent say different things; keep one of them.`,
    );
  }
  const statement = inSdl ?? inCode;
  return statement === undefined ? undefined : checkRule({ coordinate, field }, statement, minTtl);
}

function readSdl(coordinate: string, field: GraphQLField<unknown, unknown>): Statement | undefined {
  const [node, second] = (field.astNode?.directives ?? []).filter(
    (directive) => directive.name.value === authorDirective.name,
  );
  if (node === undefined) return undefined;
  if (second !== undefined) {
    throw new ConfigurationError(`${coordinate}: @idempotent is written twice; keep one of them.`);
  }
  const written = (node.arguments ?? []).map((argument) => argument.name.value);
  assertKnown(coordinate, '@idempotent', written);
  return { values: coerceNode(coordinate, node), written };
}

function coerceNode(coordinate: string, node: ConstDirectiveNode): DirectiveValues {
  try {
    return getDirectiveValues(authorDirective, { directives: [node] }) as unknown as DirectiveValues;
  } catch (error) {
    throw new ConfigurationError(`${coordinate}: @idempotent: ${messageOf(error)}`, { cause: error });
  }
}

function readExtension(coordinate: string, extension: unknown): Statement | undefined {
  if (extension === undefined) return undefined;
  const options: unknown = extension === true ? {} : extension;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new ConfigurationError(
      `${coordinate}: extensions.idempotent expects \`true\` or an object; leave it out for a field that is not guarded.`,
    );
  }
  const given = new Map<string, unknown>(Object.entries(options).filter(([, value]) => value !== undefined));
  const written = [...given.keys()];
  assertKnown(coordinate, 'extensions.idempotent', written);
  const values = authorDirective.args.map((arg): [string, unknown] => {
    if (!given.has(arg.name)) return [arg.name, arg.defaultValue];
    const value: unknown = coerceInputValue(given.get(arg.name), arg.type, (_path, _value, error) => {
      throw new ConfigurationError(`${coordinate}: extensions.idempotent.${arg.name}: ${error.message}`, {
        cause: error,
      });
    });
    return [arg.name, value];
  });
  return { values: Object.fromEntries(values) as unknown as DirectiveValues, written };
}

function assertKnown(coordinate: string, place: string, names: readonly string[]): void {
  const unknown = names.find((name) => !argumentNames.includes(name));
  if (unknown === undefined) return;
  const nearest = nearestName(unknown, argumentNames);
  const hint = nearest === undefined ? `it has ${argumentNames.join(', ')}` : `did you mean "${nearest}"?`;
  throw new ConfigurationError(`${coordinate}: ${place} has no argument "${unknown}"; ${hint}`);
}

function sayTheSame(one: Statement, other: Statement): boolean {
  return argumentNames.every((name) => {
    const key = name as keyof DirectiveValues;
    return (
      one.written.includes(name) === other.written.includes(name) &&
      JSON.stringify(one.values[key]) === JSON.stringify(other.values[key])
    );
  });
}

function checkRule(owner: ArgumentPathOwner, { values, written }: Statement, minTtl: MinTtls): FieldRule {
  const { coordinate } = owner;
  // Its default is refused as well: whoever writes it expects a lease, and this mode has none to abandon.
  if (values.mode === 'TRANSACTION' && written.includes('abandoned')) {
    throw new ConfigurationError(
      `${coordinate}: abandoned is an option of mode: LEASE; in TRANSACTION mode nothing is abandoned, so remove it.`,
    );
  }
  const { mode, inFlight, abandoned, required, ttl, keyArgument, ignore } = values;
  return {
    coordinate,
    mode,
    inFlight,
    abandoned,
    required,
    ttlMs:
      ttl === undefined || ttl === null
        ? undefined
        : readTtl(
            coordinate,
            ttl,
            mode === 'LEASE' ? ['lease', minTtl.leaseMs] : ['transaction timeout', minTtl.transactionMs],
          ),
    keyArgument:
      keyArgument === undefined || keyArgument === null ? undefined : readKeyPath(owner, keyArgument),
    ignore: ignore.map((path) => readIgnoredPath(owner, path)),
  };
}

function readTtl(coordinate: string, ttl: string, [what, minTtlMs]: MinTtl): number {
  let ttlMs: number;
  try {
    ttlMs = durationMs(ttl);
  } catch (error) {
    throw new ConfigurationError(`${coordinate}: ttl ${messageOf(error)}`, { cause: error });
  }
  if (ttlMs <= 0) throw new ConfigurationError(`${coordinate}: ttl must be longer than zero, got "${ttl}".`);
  if (ttlMs <= minTtlMs) {
    throw new ConfigurationError(
      `${coordinate}: ttl must exceed the ${what} (${minTtlMs} ms), got "${ttl}" (${ttlMs} ms).`,
    );
  }
  if (ttlMs > MAX_TTL_MS)
    throw new ConfigurationError(`${coordinate}: ttl must not exceed a hundred years, got "${ttl}".`);
  return ttlMs;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
