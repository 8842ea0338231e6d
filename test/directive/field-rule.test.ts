/** What a rule may say, in SDL and in code. */

import { GraphQLObjectType, GraphQLSchema, GraphQLString, buildSchema } from 'graphql';
import type { GraphQLField } from 'graphql';
import { describe, expect, test } from 'vitest';
import { readFieldRule } from '../../src/directive/field-rule.ts';
import type { FieldRule } from '../../src/directive/field-rule.ts';
import { typeDefs } from '../../src/directive/type-defs.ts';
import { ConfigurationError } from '../../src/errors/configuration-error.ts';

const inputs = /* GraphQL */ `
  scalar UUID
  enum Currency {
    EUR
  }
  input Meta {
    key: String!
    trace: String
    meta: Meta
  }
  input Item {
    sku: ID!
    seen: String
  }
  input PayInput {
    cents: Int!
    currency: Currency
    clientMutationId: String
    uuid: UUID
    id: ID
    meta: Meta
    items: [[Item!]!]
    tags: [String!]
  }
  type Query {
    q: Int
  }
`;

function fieldOf(
  directive: string,
  extensions: Record<string, unknown> = {},
): GraphQLField<unknown, unknown> {
  const schema = buildSchema(
    `${typeDefs} ${inputs} type Mutation { pay(input: PayInput!, note: String): Int ${directive} }`,
    { assumeValidSDL: true },
  );
  const field = schema.getMutationType()!.getFields()['pay']!;
  field.extensions = extensions;
  return field;
}

const MIN_TTL = { transactionMs: 30_000, leaseMs: 30_000 };

function inSdl(args: string): FieldRule | undefined {
  return readFieldRule('Mutation.pay', fieldOf(`@idempotent${args}`), MIN_TTL);
}

function inCode(idempotent: unknown): FieldRule | undefined {
  return readFieldRule('Mutation.pay', fieldOf('', { idempotent }), MIN_TTL);
}

function messageOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toMatch(/^Mutation\.pay: /);
    return (error as Error).message;
  }
  throw new Error('The rule was accepted.');
}

test('a field that says nothing has no rule', () => {
  expect(readFieldRule('Mutation.pay', fieldOf(''), MIN_TTL)).toBeUndefined();
});

describe('a rule', () => {
  test.each([
    ['()', {}],
    ['(required: false)', { required: false }],
    ['(ttl: "PT24H")', { ttl: 'PT24H' }],
    ['(ttl: "P1W")', { ttl: 'P1W' }],
    ['(ttl: null)', { ttl: null }],
    ['(keyArgument: "note")', { keyArgument: 'note' }],
    ['(keyArgument: "input.id")', { keyArgument: 'input.id' }],
    ['(keyArgument: "input.uuid")', { keyArgument: 'input.uuid' }],
    ['(keyArgument: "input.meta.meta.key")', { keyArgument: 'input.meta.meta.key' }],
    ['(ignore: ["input.meta.trace", "note"])', { ignore: ['input.meta.trace', 'note'] }],
    ['(ignore: "input.items.seen")', { ignore: 'input.items.seen' }],
    ['(ignore: ["input"])', { ignore: ['input'] }],
    ['(mode: TRANSACTION, inFlight: REJECT)', { mode: 'TRANSACTION', inFlight: 'REJECT' }],
    ['(inFlight: WAIT)', { inFlight: 'WAIT' }],
    ['(mode: LEASE)', { mode: 'LEASE' }],
    ['(mode: LEASE, abandoned: REFUSE)', { mode: 'LEASE', abandoned: 'REFUSE' }],
    [
      '(mode: LEASE, abandoned: RERUN, inFlight: WAIT)',
      { mode: 'LEASE', abandoned: 'RERUN', inFlight: 'WAIT' },
    ],
  ])('says the same in SDL %s and in code', (sdl, code) => {
    const args = sdl === '()' ? '' : sdl;
    expect(inCode(code)).toEqual(inSdl(args));
    expect(
      readFieldRule('Mutation.pay', fieldOf(`@idempotent${args}`, { idempotent: code }), MIN_TTL),
    ).toEqual(inSdl(args));
  });

  test('is read into milliseconds and paths', () => {
    expect(
      inSdl('(required: false, ttl: "P1DT1S", keyArgument: "input.meta.key", ignore: ["input.items.seen"])'),
    ).toEqual({
      coordinate: 'Mutation.pay',
      mode: 'TRANSACTION',
      inFlight: 'REJECT',
      abandoned: 'REFUSE',
      required: false,
      ttlMs: 86_401_000,
      keyArgument: ['input', 'meta', 'key'],
      ignore: [['input', 'items', 'seen']],
    });
  });

  test('`true` in code is a rule of defaults', () => {
    expect(inCode(true)).toEqual(inSdl(''));
  });

  test('whose parts are undefined in code has their defaults', () => {
    expect(inCode({ required: undefined, ttl: undefined, abandoned: undefined })).toEqual(inSdl(''));
  });

  test('that says different things in SDL and in code is refused', () => {
    const field = fieldOf('@idempotent(ttl: "PT1H")', { idempotent: { ttl: 'PT2H' } });
    expect(messageOf(() => readFieldRule('Mutation.pay', field, MIN_TTL))).toMatch(/say different things/);
  });

  test('written twice is refused', () => {
    expect(messageOf(() => inSdl(' @idempotent(required: false)'))).toMatch(/written twice/);
  });
});

describe('a refusal', () => {
  test.each([
    ['(abandoned: RERUN)', { abandoned: 'RERUN' }, /abandoned is an option of mode: LEASE/],
    ['(abandoned: REFUSE)', { abandoned: 'REFUSE' }, /abandoned is an option of mode: LEASE/],
    ['(mode: FAST)', { mode: 'FAST' }, /FAST/],
    ['(required: "yes")', { required: 'yes' }, /required|Boolean/],
    ['(required: null)', { required: null }, /required|null/],
    ['(ignore: [5])', { ignore: [5] }, /ignore|String/],
    ['(ttl: "24h")', { ttl: '24h' }, /ttl/],
    ['(ttl: 24)', { ttl: 24 }, /ttl/],
    ['(ttl: "P1M")', { ttl: 'P1M' }, /ttl .*no fixed length/],
    ['(ttl: "P1Y")', { ttl: 'P1Y' }, /ttl .*no fixed length/],
    ['(ttl: "-PT24H")', { ttl: '-PT24H' }, /ttl/],
    ['(ttl: "PT0S")', { ttl: 'PT0S' }, /ttl must be longer than zero/],
    ['(ttl: "PT30S")', { ttl: 'PT30S' }, /ttl must exceed the transaction timeout \(30000 ms\)/],
    ['(requird: false)', { requird: false }, /no argument "requird"; did you mean "required"\?/],
    ['(keyArgument: 5)', { keyArgument: 5 }, /keyArgument|String/],
    ['(keyArgument: "")', { keyArgument: '' }, /keyArgument names the argument "", which does not exist/],
    [
      '(keyArgument: "inputs.id")',
      { keyArgument: 'inputs.id' },
      /The field has no "inputs"; did you mean "input"\?/,
    ],
    [
      '(keyArgument: "input.meta.kye")',
      { keyArgument: 'input.meta.kye' },
      /Meta has no "kye"; did you mean "key"\?/,
    ],
    ['(keyArgument: "input.id.x")', { keyArgument: 'input.id.x' }, /ID has no "x"/],
    ['(keyArgument: "input..id")', { keyArgument: 'input..id' }, /PayInput has no ""/],
    ['(keyArgument: "input")', { keyArgument: 'input' }, /is of type PayInput; a key is a String, an ID/],
    ['(keyArgument: "input.cents")', { keyArgument: 'input.cents' }, /is of type Int/],
    ['(keyArgument: "input.currency")', { keyArgument: 'input.currency' }, /is of type Currency/],
    ['(keyArgument: "input.tags")', { keyArgument: 'input.tags' }, /through the list "input.tags"/],
    [
      '(keyArgument: "input.items.sku")',
      { keyArgument: 'input.items.sku' },
      /through the list "input.items"/,
    ],
    ['(ignore: ["nope"])', { ignore: ['nope'] }, /ignore names the argument "nope", which does not exist/],
    [
      '(ignore: ["input.items.skew"])',
      { ignore: ['input.items.skew'] },
      /Item has no "skew"; did you mean "sku"\?/,
    ],
    ['(ignore: ["input.__proto__"])', { ignore: ['input.__proto__'] }, /PayInput has no "__proto__"/],
  ])('of %s names the coordinate and the reason, in SDL and in code', (sdl, code, reason) => {
    expect(messageOf(() => inSdl(sdl))).toMatch(reason);
    expect(messageOf(() => inCode(code))).toMatch(reason);
  });

  test.each([[false], [null], ['PT1H'], [[true]], [1]])(
    'of extensions.idempotent: %j says what it expects',
    (value) => {
      expect(messageOf(() => inCode(value))).toMatch(/expects `true` or an object/);
    },
  );
});

test('a ttl just above the transaction timeout is accepted', () => {
  expect(inSdl('(ttl: "PT30.001S")')?.ttlMs).toBe(30_001);
});

test('a rule of a code-first field is read without any AST', () => {
  const mutation = new GraphQLObjectType({
    name: 'Mutation',
    fields: {
      pay: {
        type: GraphQLString,
        args: { key: { type: GraphQLString } },
        extensions: { idempotent: { keyArgument: 'key' } },
      },
    },
  });
  const field = new GraphQLSchema({ mutation }).getMutationType()!.getFields()['pay']!;
  expect(readFieldRule('Mutation.pay', field, MIN_TTL)?.keyArgument).toEqual(['key']);
});
