/** GitHub's published GraphQL schema with `@idempotent` on every mutation. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Kind, buildASTSchema, concatAST, parse } from 'graphql';
import type { ConstDirectiveNode, DefinitionNode, DocumentNode, GraphQLSchema } from 'graphql';
import { typeDefs } from '../../src/directive/type-defs.ts';

/** Every mutation of this API takes `input.clientMutationId`, which may differ between retries. */
const annotation = '@idempotent(ttl: "P1D", ignore: ["input.clientMutationId"])';

export function readGithubDocument(): DocumentNode {
  const path = fileURLToPath(new URL('schema.graphql', import.meta.resolve('@octokit/graphql-schema')));
  const published = parse(readFileSync(path, 'utf8'));
  const [directive] = directivesOf(parse(`type T { f: Int ${annotation} }`).definitions[0]);
  if (directive === undefined) throw new Error('The annotation is not a directive.');
  return concatAST([
    parse(typeDefs),
    {
      ...published,
      definitions: published.definitions.map((definition) => annotate(definition, directive)),
    },
  ]);
}

export function buildGithubSchema(document: DocumentNode): GraphQLSchema {
  // As published it defines two fields twice, which SDL validation refuses.
  return buildASTSchema(document, { assumeValidSDL: true });
}

function directivesOf(definition: DefinitionNode | undefined): readonly ConstDirectiveNode[] {
  return (definition?.kind === Kind.OBJECT_TYPE_DEFINITION && definition.fields?.[0]?.directives) || [];
}

function annotate(definition: DefinitionNode, directive: ConstDirectiveNode): DefinitionNode {
  if (definition.kind !== Kind.OBJECT_TYPE_DEFINITION || definition.name.value !== 'Mutation')
    return definition;
  const fields = (definition.fields ?? []).map((field) => ({
    ...field,
    directives: [...(field.directives ?? []), directive],
  }));
  return { ...definition, fields };
}
