/** A large real schema: every mutation of GitHub's GraphQL API, annotated. */

import { Kind, execute, parse, printSchema, validate } from 'graphql';
import type { GraphQLSchema } from 'graphql';
import { beforeAll, expect, test } from 'vitest';
import { applyGuard } from '../../src/directive/apply-guard.ts';
import type { FieldRule } from '../../src/directive/field-rule.ts';
import { findUnsupportedKeys } from '../../src/directive/misplaced-keys.ts';
import { buildGithubSchema, readGithubDocument } from './github-schema.ts';

const calls: string[] = [];
let schema: GraphQLSchema;
let rules: ReadonlyMap<string, FieldRule>;
let mutationNames: string[];

beforeAll(() => {
  schema = buildGithubSchema(readGithubDocument());
  mutationNames = Object.keys(schema.getMutationType()!.getFields());
  rules = applyGuard(schema, {
    owner: {},
    describe: true,
    minTtl: { transactionMs: 30_000, leaseMs: 30_000 },
    wrap:
      ({ coordinate, rule }, resolve) =>
      (source, args, context, info) => {
        calls.push(`${coordinate} ${String(rule?.ignore[0]?.join('.'))}`);
        return resolve(source, args, context, info);
      },
  });
});

test('every one of its hundreds of mutations is guarded', () => {
  expect(mutationNames.length).toBeGreaterThan(200);
  expect([...rules.keys()]).toEqual(mutationNames.map((name) => `Mutation.${name}`));
  for (const rule of rules.values()) {
    expect(rule).toMatchObject({ ttlMs: 86_400_000, ignore: [['input', 'clientMutationId']] });
  }
});

test('it serves the client form and none of the types of the other', () => {
  const served = printSchema(schema);
  expect(served).toMatch(/key: String!\n\) on FIELD\n/);
  expect(served).not.toMatch(/IdempotencyMode|InFlightPolicy|AbandonedPolicy|scalar Duration/);
  expect(served.match(/Requires an idempotency key/g)).toHaveLength(mutationNames.length);
});

test('its mutations execute through the guard, one after the other', async () => {
  const document = parse(/* GraphQL */ `
    mutation ($key: String!) {
      addStar(input: { starrableId: "R_1" }) @idempotent(key: $key) {
        clientMutationId
      }
      again: createIssue(input: { repositoryId: "R_1", title: "A bug" }) @idempotent(key: "k2") {
        clientMutationId
      }
      ...Lock
    }
    fragment Lock on Mutation {
      lockLockable(input: { lockableId: "I_1" }) @idempotent(key: "k3") {
        actor {
          login
        }
      }
    }
  `);
  expect(validate(schema, document)).toEqual([]);
  const rootValue = {
    addStar: () => ({ clientMutationId: 'star' }),
    createIssue: () => ({ clientMutationId: 'issue' }),
    lockLockable: () => ({ actor: null }),
  };
  const result = await execute({ schema, document, rootValue, variableValues: { key: 'k1' } });
  expect(result).toEqual({
    data: {
      addStar: { clientMutationId: 'star' },
      again: { clientMutationId: 'issue' },
      lockLockable: { actor: null },
    },
  });
  expect(calls).toEqual([
    'Mutation.addStar input.clientMutationId',
    'Mutation.createIssue input.clientMutationId',
    'Mutation.lockLockable input.clientMutationId',
  ]);
});

test('a key below one of its mutations is found', () => {
  const document = parse(
    'mutation { addStar(input: { starrableId: "R_1" }) { starrable { id @idempotent(key: "k") } } }',
  );
  expect(validate(schema, document)).toEqual([]);
  const operation = document.definitions[0]!;
  if (operation.kind !== Kind.OPERATION_DEFINITION) throw new Error('Not an operation.');
  expect(findUnsupportedKeys(schema, { operation, fragments: {} }, rules)).toEqual(['Starrable.id']);
});
