/** The page about testing: its test file runs, and its mistakes are told in the sentences that it prints. */

import { ApolloServer } from '@apollo/server';
import type { Idempotency } from 'graphql-idempotency';
import { verifyIdempotency } from 'graphql-idempotency/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { scenarios } from '../../src/testing/scenarios.ts';
import { startChild } from '../support/child.ts';
import { createDatabase } from '../support/database.ts';
import { codeBlocks, proseOf, readDocument, tableAfter } from './documents.ts';
import { writeModules } from './modules.ts';
import type { Context, world as preludeWorld } from './prelude.ts';
import type { Resolver } from './serve.ts';

const page = 'docs/testing.md';
const modules = writeModules();
const database = await createDatabase({ migrated: true });
const owner = new pg.Pool({ connectionString: database.url, max: 1 });
let world: typeof preludeWorld;
let idempotency: Idempotency<Context>;

beforeAll(async () => {
  vi.stubEnv('DATABASE_URL', database.url);
  for (const level of ['info', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation(() => {});
  await owner.query(codeBlocks('sql', 'README.md')[0]!.code);
  // Not before: it reads the environment.
  ({ idempotency, world } = await import('./prelude.ts'));
});

afterAll(async () => {
  await idempotency.close();
  await owner.end();
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

async function payments(): Promise<number> {
  const { rows } = await owner.query<{ n: number }>('select count(*)::int as n from payments');
  return rows[0]!.n;
}

test('it opens with a whole test file', () => {
  const [opening] = readDocument(page).split('\n```');
  expect(opening).toMatch(/^# [^\n]+\n\n(?:[^\n#]+\n)+$/);
  expect(codeBlocks(undefined, page)[0]).toMatchObject({ language: 'ts', name: 'charge-test.ts' });
});

test('charge-test.ts: it passes', async () => {
  const before = await payments();
  const child = startChild({ file: `${modules.folder}/charge-test.ts`, until: 'file' });
  expect(await child.exited, child.output()).toMatchObject({ code: 0 });
  expect(child.output()).toContain('charge is safe to retry');
  expect(child.output()).toContain('# pass 1');
  expect(await payments()).toBe(before + 5);
});

test('mistaken-charge.ts: it fails with the sentence that the page quotes', async () => {
  const { charge } = await modules.load<{ charge: Resolver }>('mistaken-charge.ts');
  const { typeDefs } = await import('./prelude.ts');
  const server = new ApolloServer<Context>({
    typeDefs: [idempotency.typeDefs, typeDefs],
    resolvers: { Mutation: { charge } },
    plugins: [idempotency.plugin()],
  });
  const emails = (): number => world.calls.filter((call) => call.startsWith('email ')).length;
  const verified = verifyIdempotency({
    server,
    operation: 'mutation { charge(amountCents: 5) }',
    contextValue: { user: 'alice' },
    effects: async () => ({ payments: await payments(), emails: emails() }),
  });
  const quoted = [...proseOf(page).matchAll(/^> (.+)$/gm)].map(([, line]) => line).join(' ');
  expect((await verified.catch((error: Error) => error)) as Error).toMatchObject({ message: quoted });
  await server.stop();
});

test('the table of scenarios has all of them, in their order', () => {
  const rows = tableAfter(readDocument(page), ['scenario', 'what is done', 'what must be']);
  expect(rows.map(([name]) => name)).toEqual(scenarioNames.map((name) => `\`${name}\``));
  expect(rows).toHaveLength(scenarios.TRANSACTION.length);
});

test('the table of options has those that there are', () => {
  const rows = tableAfter(readDocument(page), ['option', 'default', 'meaning']);
  const options: Record<keyof Parameters<typeof verifyIdempotency>[0], string> = {
    server: 'required',
    operation: 'required',
    variables: 'none',
    contextValue: '`{}`',
    effects: 'required',
    settleMs: '100',
    newKey: '`randomUUID`',
    keyed: 'none',
  };
  expect(rows.map(([name, value]) => [name, value])).toEqual(
    Object.entries(options).map(([name, value]) => [`\`${name}\``, value]),
  );
});

const scenarioNames = ['retry after success', 'two at once', 'transaction killed at commit', 'thrown error'];
