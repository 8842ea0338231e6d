/** The README's server, as the README starts it, answers what the documents say it answers. */

import { createServer } from 'node:http';
import type { ApolloServer } from '@apollo/server';
import type { TransactionResult } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startChild } from '../support/child.ts';
import { createDatabase, redisUrl } from '../support/database.ts';
import { codeBlocks, documents } from './documents.ts';
import { writeModules } from './modules.ts';

const modules = writeModules();
const database = await createDatabase();
const owner = new pg.Pool({ connectionString: database.url, max: 1 });
let url = '';
let server: ApolloServer;

beforeAll(async () => {
  const exported = codeBlocks('sh', 'README.md').find(({ code }) =>
    code.includes('export DATABASE_URL'),
  )!.code;
  expect(exported).toContain('export REDIS_URL=');
  vi.stubEnv('DATABASE_URL', database.url);
  vi.stubEnv('REDIS_URL', redisUrl());
  vi.stubEnv('PORT', '0');

  expect(exported).toContain('npx graphql-idempotency migrate');
  const migration = startChild({ file: 'src/cli/main.ts', args: ['migrate'], until: 'file' });
  expect(await migration.exited, migration.output()).toMatchObject({ code: 0 });
  await owner.query(codeBlocks('sql', 'README.md')[0]!.code);

  const printed = vi.spyOn(console, 'log').mockReturnValue();
  ({ url, server } = await modules.load<{ url: string; server: ApolloServer }>('server.ts'));
  expect(printed).toHaveBeenCalledWith(`ready ${url}`);
  printed.mockRestore();
});

afterAll(async () => {
  await server?.stop();
  await owner.end();
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
});

const conversations = documents.filter((document) => codeBlocks('http', document).length > 0);

test('there are conversations in the README and among the errors', () => {
  expect(conversations).toEqual(['README.md', 'docs/errors.md']);
});

test.each(conversations)(
  'the requests of %s get the answers that are printed after them',
  async (document) => {
    let request = '';
    let answers = 0;
    for (const { code, line } of codeBlocks('http', document)) {
      if (code.startsWith('POST ')) {
        request = code;
        continue;
      }
      const expected = read(code);
      const answer = await send(request);
      const seen = {
        start: `HTTP/1.1 ${answer.status} ${answer.statusText}`,
        headers: [...expected.headers.keys()].map((name) => [name, answer.headers.get(name)]),
        body: await answer.json(),
      };
      expect(seen, `${document}:${line}`).toEqual({
        start: expected.start,
        headers: [...expected.headers],
        body: JSON.parse(expected.body),
      });
      if (!expected.headers.has('idempotent-replayed'))
        expect(answer.headers.has('idempotent-replayed')).toBe(false);
      answers += 1;
    }
    expect(answers).toBeGreaterThan(0);
  },
);

test.each(codeBlocks('graphql').filter(({ code }) => code.startsWith('mutation')))(
  'the operation at $document:$line executes once',
  async ({ code }) => {
    const before = await payments();
    const variables = { first: crypto.randomUUID(), second: crypto.randomUUID() };
    for (const outcome of ['executed', 'replayed']) {
      const answer = await post({ query: code, variables });
      expect(answer).toMatchObject({
        data: { rent: { id: expect.any(String) }, water: { id: expect.any(String) } },
        extensions: { idempotency: { rent: { outcome }, water: { outcome } } },
      });
    }
    expect(await payments()).toBe(before + 2);
  },
);

test.each(codeBlocks('json'))('the request at $document:$line executes once', async ({ code }) => {
  const before = await payments();
  for (const outcome of ['executed', 'replayed']) {
    const answer = await post(JSON.parse(code) as object);
    expect(answer).toMatchObject({ extensions: { idempotency: { charge: { outcome } } } });
  }
  expect(await payments()).toBe(before + 1);
});

test('the client of the README charges once, through a lost answer and an answer that says to retry', async () => {
  const before = await payments();
  const keys: unknown[] = [];
  const unreliable = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    keys.push(request.headers['idempotency-key']);
    const headers = Object.fromEntries(
      ['content-type', 'authorization', 'idempotency-key'].map((name) => [
        name,
        String(request.headers[name]),
      ]),
    );
    if (keys.length === 2) {
      const extensions = { code: 'IDEMPOTENCY_IN_PROGRESS', retryable: true, retryAfterMs: 1 };
      response.writeHead(409).end(JSON.stringify({ errors: [{ message: 'busy', extensions }] }));
      return;
    }
    const answer = await fetch(url, { method: 'POST', headers, body: Buffer.concat(chunks) });
    if (keys.length === 1) response.destroy();
    else response.writeHead(answer.status).end(await answer.text());
  });
  await new Promise<void>((resolve) => {
    unreliable.listen(0, '127.0.0.1', resolve);
  });
  const { port } = unreliable.address() as { port: number };
  type Charge = (url: string, user: string, amountCents: number) => Promise<unknown>;
  const { charge } = await modules.load<{ charge: Charge }>('client.ts');
  const answer = await charge(`http://127.0.0.1:${port}/`, 'bob', 4200);
  expect(answer).toMatchObject({
    data: { charge: { amountCents: 4200 } },
    extensions: { idempotency: { charge: { outcome: 'replayed' } } },
  });
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
  expect(await payments()).toBe(before + 1);
  unreliable.close();
  unreliable.closeAllConnections();
});

test('the rights of docs/configuration.md suffice for a role that does not own the tables', async () => {
  const { NotExecutedError, createIdempotency } = await import('graphql-idempotency');
  type Info = Parameters<typeof instance.current>[0];
  const nameOf = ({ rows }: TransactionResult<{ name?: unknown }>): string => String(rows[0]!.name);
  let refused = true;
  const role = `shop_${database.url.split('_').at(-1)}`;
  await owner.query(`create role ${role} login password '${role}'`);
  await owner.query(`grant insert, select on payments to ${role}`);
  await owner.query(codeBlocks('sql', 'docs/configuration.md')[0]!.code.replaceAll('shop', role));
  const asRole = new URL(database.url);
  asRole.username = role;
  asRole.password = role;
  const instance = createIdempotency<{ user: string }>({
    scope: ({ user }) => user,
    postgres: asRole.href,
    redis: false,
    logger: { info() {}, warn() {}, error() {} },
  });
  const { ApolloServer } = await import('@apollo/server');
  const limited = new ApolloServer<{ user: string }>({
    typeDefs: [
      instance.typeDefs,
      `type Query { ping: String }
       type Mutation {
         whoami: String @idempotent
         leased: String @idempotent(mode: LEASE, abandoned: RERUN)
         released: String @idempotent(mode: LEASE)
       }`,
    ],
    resolvers: {
      Mutation: {
        whoami: async (_: unknown, __: object, ___: object, info: Info) =>
          nameOf(await instance.current(info).tx.query('select session_user as name')),
        leased: async (_: unknown, __: object, ___: object, info: Info) => {
          const { step, attempt } = instance.current(info);
          const name = await step.transaction('who', async (tx) =>
            nameOf(await tx.query('select session_user as name')),
          );
          if (attempt === 1) throw new Error('it breaks off');
          return step('again', () => name);
        },
        released: async (_: unknown, __: object, ___: object, info: Info) => {
          if (!refused) return instance.current(info).step('late', () => 'executed');
          refused = false;
          throw new NotExecutedError('not yet');
        },
      },
    },
    plugins: [instance.plugin()],
  });
  await limited.start();
  const call = async (field: string, key: string): Promise<unknown> => {
    const { body } = await limited.executeOperation(
      { query: `mutation { ${field} @idempotent(key: "${key}") }` },
      { contextValue: { user: 'alice' } },
    );
    return body;
  };
  for (const outcome of ['executed', 'replayed']) {
    expect(await call('whoami', 'k')).toMatchObject({
      singleResult: { data: { whoami: role }, extensions: { idempotency: { whoami: { outcome } } } },
    });
  }
  expect(await call('leased', 'l')).toMatchObject({
    singleResult: { errors: [{ extensions: { code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' } }] },
  });
  expect(await instance.abandoned()).toMatchObject([{ coordinate: 'Mutation.leased', attempt: 1 }]);
  expect(await call('leased', 'l')).toMatchObject({ singleResult: { data: { leased: role } } });
  expect(await call('released', 'r')).toMatchObject({ singleResult: { errors: [{ message: 'not yet' }] } });
  expect(await call('released', 'r')).toMatchObject({ singleResult: { data: { released: 'executed' } } });
  expect(await instance.sweep()).toEqual({ stripped: 0, deleted: 0 });
  await limited.stop();
  await owner.query(`drop owned by ${role}`);
  await owner.query(`drop role ${role}`);
});

interface Message {
  readonly start: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

function read(text: string): Message {
  const [head = '', ...body] = text.split('\n\n');
  const [start = '', ...lines] = head.split('\n');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(': ');
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
  return { start, headers: new Map(headers), body: body.join('\n\n') };
}

function send(request: string): Promise<Response> {
  const { start, headers, body } = read(request);
  const [method = '', path = ''] = start.split(' ');
  return fetch(new URL(path, url), { method, headers: [...headers], body });
}

async function post(body: object): Promise<unknown> {
  const headers = { 'content-type': 'application/json', authorization: 'Bearer carol' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return response.json();
}

async function payments(): Promise<number> {
  const { rows } = await owner.query<{ n: number }>('select count(*)::int as n from payments');
  return rows[0]!.n;
}
