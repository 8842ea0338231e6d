/** Schema transformations make copies of a guarded schema, and wrap what they copy. */

import { makeExecutableSchema } from '@graphql-tools/schema';
import { GraphQLObjectType, GraphQLSchema, graphql } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import { expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';

test('a wrapped copy of a guarded schema, guarded again, executes once and replays', async () => {
  const { url } = await createDatabase({ migrated: true });
  let runs = 0;
  await using idempotency = createIdempotency<{ key: string }>({
    scope: () => 'somebody',
    postgres: url,
    redis: false,
    sweepInterval: 0,
    requestKeys: ({ key }) => ({ header: key }),
    logger: { info: () => {}, warn: () => {}, error: () => {} },
  });
  const guarded = idempotency.applyTo(
    makeExecutableSchema({
      typeDefs: [idempotency.typeDefs, 'type Query { a: Int } type Mutation { count: Int @idempotent }'],
      resolvers: { Mutation: { count: () => (runs += 1) } },
    }),
  );
  const copy = idempotency.applyTo(copyAndWrap(guarded));
  const send = () => graphql({ schema: copy, source: 'mutation { count }', contextValue: { key: 'k' } });

  expect(await send()).toEqual({ data: { count: 1 } });
  expect(await send()).toEqual({ data: { count: 1 } });
  expect(runs).toBe(1);
});

function copyAndWrap(schema: GraphQLSchema): GraphQLSchema {
  const config = schema.toConfig();
  const mutation = schema.getMutationType()!.toConfig();
  for (const field of Object.values(mutation.fields)) {
    const { resolve } = field;
    field.resolve = (...call) => resolve!(...call);
  }
  return new GraphQLSchema({
    ...config,
    mutation: new GraphQLObjectType(mutation),
    types: config.types.filter(({ name }) => name !== mutation.name),
  });
}
