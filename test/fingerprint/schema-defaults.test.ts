import {
  GraphQLEnumType,
  GraphQLID,
  GraphQLInputObjectType,
  GraphQLInt,
  GraphQLList,
  GraphQLScalarType,
} from 'graphql';
import type { GraphQLInputType } from 'graphql';
import { describe, expect, it } from 'vitest';
import { fingerprintOfOperation } from './calls.ts';
import { codeFirst, fingerprint, schemaOf } from './schemas.ts';

describe('schema defaults', () => {
  const before = schemaOf('input In { a: Int } type Mutation { pay(in: In, amount: Int!): Int }');
  const after = schemaOf(`
    enum Speed { SLOW FAST }
    input Deep { n: Int = 3, list: [Int!] = [1, 2] }
    input In { a: Int, speed: Speed = SLOW, note: String = null, deep: Deep = {} }
    type Mutation { pay(in: In, amount: Int!, tip: Float = 0.5, deep: Deep! = { n: 4 }, tags: [String!]! = []): Int }
  `);

  it('that a deploy adds leave the fingerprints of retries under way as they were', () => {
    for (const source of ['mutation { pay(amount: 1) }', 'mutation { pay(amount: 1, in: { a: 2 }) }']) {
      expect(fingerprintOfOperation(after, source)).toBe(fingerprintOfOperation(before, source));
    }
  });

  it('make no difference when they are given', () => {
    const short = fingerprintOfOperation(after, 'mutation { pay(amount: 1, in: { a: 2 }) }');
    const long = `mutation {
      pay(amount: 1, tip: 0.5, tags: [], deep: { n: 4, list: [1, 2] },
          in: { a: 2, speed: SLOW, note: null, deep: { n: 3, list: [1, 2] } })
    }`;
    expect(fingerprintOfOperation(after, long)).toBe(short);
  });

  it.each([
    'pay(amount: 1, tip: 0.25)',
    'pay(amount: 1, tip: null)',
    'pay(amount: 1, tags: ["a"])',
    'pay(amount: 1, deep: {})',
    'pay(amount: 1, deep: { n: 4, list: [2, 1] })',
    'pay(amount: 1, deep: { n: null })',
    'pay(amount: 1, in: {})',
    'pay(amount: 1, in: { speed: FAST })',
    'pay(amount: 1, in: { deep: null })',
    'pay(amount: 1, in: null)',
  ])('that are overruled make a difference: %s', (call) => {
    expect(fingerprintOfOperation(after, `mutation { ${call} }`)).not.toBe(
      fingerprintOfOperation(after, 'mutation { pay(amount: 1) }'),
    );
  });

  it('are compared by meaning when they are written in code', () => {
    const Level = new GraphQLEnumType({ name: 'Level', values: { LOW: { value: 1 }, HIGH: { value: 2 } } });
    const In = new GraphQLInputObjectType({
      name: 'In',
      fields: { level: { type: Level, defaultValue: 2 } },
    });
    const schema = codeFirst({
      id: { type: GraphQLID, defaultValue: 7 },
      list: { type: new GraphQLList(Level), defaultValue: 1 },
      in: { type: In, defaultValue: {} },
    });
    const absent = fingerprintOfOperation(schema, 'mutation { pay }');
    expect(
      fingerprintOfOperation(schema, 'mutation { pay(id: "7", list: [LOW], in: { level: HIGH }) }'),
    ).toBe(absent);
    expect(fingerprintOfOperation(schema, 'mutation { pay(id: "8") }')).not.toBe(absent);
    expect(fingerprintOfOperation(schema, 'mutation { pay(list: [HIGH]) }')).not.toBe(absent);
  });

  it('without a canonical form are left out when coercion fills them in', () => {
    class Money {
      readonly cents = 5;
    }
    const type = new GraphQLScalarType({ name: 'Money' });
    const schema = codeFirst({ price: { type, defaultValue: new Money() } });
    expect(fingerprintOfOperation(schema, 'mutation { pay }')).toBe(
      fingerprintOfOperation(codeFirst({}), 'mutation { pay }'),
    );
    expect(() => fingerprint(schema, { price: new Money() })).toThrow('an instance of a class');
    expect(fingerprint(schema, { price: 5 })).not.toBe(fingerprint(schema, {}));
  });

  it('that a resolver changes in place are still the defaults', () => {
    const In = new GraphQLInputObjectType({ name: 'In', fields: { n: { type: GraphQLInt } } });
    const defaultValue = { n: 1 };
    const schema = codeFirst({ in: { type: In, defaultValue } });
    const first = fingerprintOfOperation(schema, 'mutation { pay }');
    defaultValue.n = 99;
    expect(fingerprintOfOperation(schema, 'mutation { pay }')).toBe(first);
    expect(fingerprintOfOperation(schema, 'mutation { pay(in: { n: 1 }) }')).toBe(first);
    expect(fingerprintOfOperation(schema, 'mutation { pay(in: { n: 99 }) }')).not.toBe(first);
  });

  it('of a recursive type may nest the type, and their form is not looked for inside itself', () => {
    let reads = 0;
    const defaultValue = {
      get n(): number {
        reads += 1;
        return 1;
      },
      child: { n: 2, child: null },
    };
    const fields = (): Record<string, { type: GraphQLInputType; defaultValue?: unknown }> => ({
      n: { type: GraphQLInt },
      child: { type: Node, defaultValue },
    });
    const Node: GraphQLInputObjectType = new GraphQLInputObjectType({ name: 'Node', fields });
    const schema = codeFirst({ node: { type: Node } });
    const given = { n: 1, child: { n: 1, child: { n: 2, child: null } } };
    expect(fingerprint(schema, { node: { n: 1 } })).toBe(fingerprint(schema, { node: given }));
    expect(fingerprint(schema, { node: { n: 1 } })).not.toBe(
      fingerprint(schema, { node: { n: 1, child: { n: 1 } } }),
    );
    expect(reads).toBe(1);
  });

  it('that are cyclic stop nothing', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    const schema = codeFirst({
      meta: { type: new GraphQLScalarType({ name: 'JSON' }), defaultValue: cyclic },
    });
    expect(fingerprintOfOperation(schema, 'mutation { pay }')).toHaveLength(64);
    expect(fingerprint(schema, { meta: {} })).not.toBe(fingerprint(schema, {}));
  });
});
