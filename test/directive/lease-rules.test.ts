/** What a field in mode LEASE, or one whose callers wait, may say of itself. */

import { GraphQLObjectType, GraphQLSchema, GraphQLString, buildSchema } from 'graphql';
import { expect, test } from 'vitest';
import { readFieldRule } from '../../src/directive/field-rule.ts';
import type { FieldRule } from '../../src/directive/field-rule.ts';
import { typeDefs } from '../../src/directive/type-defs.ts';
import { ConfigurationError } from '../../src/errors/configuration-error.ts';

const MIN_TTL = { transactionMs: 30_000, leaseMs: 90_000 };

function inSdl(args: string): FieldRule | undefined {
  const schema = buildSchema(
    `${typeDefs} type Query { q: Int } type Mutation { pay: Int @idempotent${args} }`,
    { assumeValidSDL: true },
  );
  return readFieldRule('Mutation.pay', schema.getMutationType()!.getFields()['pay']!, MIN_TTL);
}

function inCode(idempotent: unknown): FieldRule | undefined {
  const mutation = new GraphQLObjectType({
    name: 'Mutation',
    fields: { pay: { type: GraphQLString, extensions: { idempotent } } },
  });
  const field = new GraphQLSchema({ mutation }).getMutationType()!.getFields()['pay']!;
  return readFieldRule('Mutation.pay', field, MIN_TTL);
}

const accepted: readonly (readonly [sdl: string, code: object, rule: Partial<FieldRule>])[] = [
  ['(mode: LEASE)', { mode: 'LEASE' }, { mode: 'LEASE', abandoned: 'REFUSE', inFlight: 'REJECT' }],
  ['(mode: LEASE, abandoned: REFUSE)', { mode: 'LEASE', abandoned: 'REFUSE' }, { abandoned: 'REFUSE' }],
  ['(mode: LEASE, abandoned: RERUN)', { mode: 'LEASE', abandoned: 'RERUN' }, { abandoned: 'RERUN' }],
  ['(mode: LEASE, inFlight: WAIT)', { mode: 'LEASE', inFlight: 'WAIT' }, { inFlight: 'WAIT' }],
  ['(inFlight: WAIT)', { inFlight: 'WAIT' }, { mode: 'TRANSACTION', inFlight: 'WAIT' }],
  ['(mode: LEASE, required: false)', { mode: 'LEASE', required: false }, { required: false }],
  ['(mode: LEASE, ttl: "PT90.001S")', { mode: 'LEASE', ttl: 'PT90.001S' }, { ttlMs: 90_001 }],
  ['(ttl: "PT31S")', { ttl: 'PT31S' }, { mode: 'TRANSACTION', ttlMs: 31_000 }],
];

test.each(accepted)('%s says the same in SDL and in code', (sdl, code, rule) => {
  expect(inSdl(sdl)).toMatchObject(rule);
  expect(inCode(code)).toEqual(inSdl(sdl));
});

const ABANDONED = /abandoned is an option of mode: LEASE; in TRANSACTION mode nothing is abandoned/;

const refused: readonly (readonly [sdl: string, code: object, reason: RegExp])[] = [
  ['(abandoned: RERUN)', { abandoned: 'RERUN' }, ABANDONED],
  ['(abandoned: REFUSE)', { abandoned: 'REFUSE' }, ABANDONED],
  ['(mode: TRANSACTION, abandoned: RERUN)', { mode: 'TRANSACTION', abandoned: 'RERUN' }, ABANDONED],
  ['(inFlight: WAIT, abandoned: RERUN)', { inFlight: 'WAIT', abandoned: 'RERUN' }, ABANDONED],
  ['(mode: LEASES)', { mode: 'LEASES' }, /LEASES/],
  ['(mode: null)', { mode: null }, /mode|null/],
  ['(mode: LEASE, abandoned: RETRY)', { mode: 'LEASE', abandoned: 'RETRY' }, /RETRY/],
  ['(inFlight: QUEUE)', { inFlight: 'QUEUE' }, /QUEUE/],
  ['(mode: LEASE, lease: "PT1M")', { mode: 'LEASE', lease: 'PT1M' }, /no argument "lease"/],
  ['(mode: LEASE, ttl: "PT90S")', { mode: 'LEASE', ttl: 'PT90S' }, /ttl must exceed the lease \(90000 ms\)/],
  ['(ttl: "PT30S")', { ttl: 'PT30S' }, /ttl must exceed the transaction timeout \(30000 ms\)/],
];

test.each(refused)(
  '%s is refused in SDL and in code, with the coordinate and the reason',
  (sdl, code, reason) => {
    for (const read of [() => inSdl(sdl), () => inCode(code)]) {
      let error: unknown;
      try {
        read();
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(ConfigurationError);
      expect((error as Error).message).toMatch(/^Mutation\.pay: /);
      expect((error as Error).message).toMatch(reason);
    }
  },
);
