// @ts-check
/** Builds the package, and uses what would be published as its users do: by import, by require, by type, by command. */

import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (/** @type {string} */ name) => join(root, 'node_modules', '.bin', name);
const run = (/** @type {string} */ command, /** @type {string[]} */ args, /** @type {string} */ cwd) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

const consumerConfig = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2023',
    strict: true,
    noEmit: true,
    types: ['node'],
    skipLibCheck: true,
  },
  files: ['consumer.ts'],
};
const consumer = `
import { ApolloServer } from '@apollo/server';
import { createIdempotency, FinalError, IdempotencyError } from 'graphql-idempotency';
import type { ErrorCode, Transaction } from 'graphql-idempotency';
import { migrate } from 'graphql-idempotency/migrate';
import { VerificationError, verifyIdempotency } from 'graphql-idempotency/testing';
import type { Finding, VerificationReport } from 'graphql-idempotency/testing';
import { consumeRedisStream, redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { consumeJetStream, jetStreamPublisher } from 'graphql-idempotency/nats';
import { consumeRabbitQueue, rabbitMqPublisher } from 'graphql-idempotency/rabbitmq';
import { eachKafkaMessage, kafkaPublisher } from 'graphql-idempotency/kafka';

export const brokers = [redisStreamsPublisher, consumeRedisStream, jetStreamPublisher, consumeJetStream,
  rabbitMqPublisher, consumeRabbitQueue, kafkaPublisher, eachKafkaMessage];
interface Context { user: { id: string } }
const idempotency = createIdempotency<Context>({ scope: (context) => context.user.id, ttl: 'PT48H', poolSize: 20 });
const server = new ApolloServer<Context>({
  typeDefs: [idempotency.typeDefs, 'type Query { a: Int } type Mutation { pay: Int @idempotent }'],
  resolvers: {
    Mutation: {
      pay: async (_source: unknown, _args: object, _context: Context, info: Parameters<typeof idempotency.current>[0]) => {
        const { tx }: { tx: Transaction } = idempotency.current(info);
        const { rows } = await tx.query<{ id: number }>('select 1 as id');
        return rows[0]?.id;
      },
    },
  },
  plugins: [idempotency.plugin()],
});
const code: ErrorCode = 'IDEMPOTENCY_IN_PROGRESS';
// @ts-expect-error -- options are checked
createIdempotency<Context>({ scope: () => '', pooolSize: 3 });
export const verify = (): Promise<VerificationReport> =>
  verifyIdempotency({
    server,
    operation: 'mutation { pay }',
    contextValue: () => ({ user: { id: 'alice' } }),
    effects: () => ({ payments: 1 }),
  });
export const findingsOf = (error: unknown): readonly Finding[] =>
  error instanceof VerificationError ? error.findings : [];
// @ts-expect-error -- the context is the server's
void verifyIdempotency({ server, operation: '', contextValue: { user: 'alice' }, effects: () => ({ payments: 1 }) });
export { server, code, FinalError, IdempotencyError, migrate };
`;

/** A page: types of the browser, none of Node, and no package but this one. */
const pageConfig = {
  compilerOptions: {
    ...consumerConfig.compilerOptions,
    lib: ['es2023', 'dom'],
    types: [],
    skipLibCheck: false,
  },
  files: ['page.ts'],
};
const page = `
import { OutcomeUnknownError, RetryBudget, createIntents, idempotentFetch, newKey } from 'graphql-idempotency/client';
import type { Intents, Resumed } from 'graphql-idempotency/client';

const intents: Intents = createIntents({ storage: localStorage });
const send: typeof fetch = idempotentFetch({ intents, budget: new RetryBudget({ share: 0.2 }) });
export const resumed: Promise<readonly Resumed<Response>[]> = idempotentFetch({ intents }).resume({ credentials: 'include' });
export const pay = (): Promise<Response> =>
  send('/graphql', { method: 'POST', headers: { 'idempotency-key': newKey() }, body: '{"query":"mutation{pay}"}' });
export const keyOf = (error: unknown): string | undefined =>
  error instanceof OutcomeUnknownError ? error.key : undefined;
// @ts-expect-error -- options are checked
idempotentFetch({ atempts: 3 });
`;

rmSync(join(root, 'dist'), { recursive: true, force: true });
run(bin('tsc'), ['-p', 'tsconfig.build.json'], root);
process.stdout.write(run(bin('publint'), ['--strict', '--pack', 'npm'], root));

const folder = mkdtempSync(join(tmpdir(), 'graphql-idempotency-package-'));
try {
  const packed = run(
    'npm',
    ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder],
    root,
  ).trim();
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'graphql-idempotency'), { recursive: true });
  run(
    'tar',
    ['-xzf', join(folder, packed), '--strip-components=1', '-C', join(modules, 'graphql-idempotency')],
    folder,
  );
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name.startsWith('.') || existsSync(join(modules, name))) continue;
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }

  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(consumerConfig));
  writeFileSync(join(folder, 'consumer.ts'), consumer);
  run(bin('tsc'), ['-p', folder], folder);

  const probe =
    "if ([createIdempotency, migrate, verifyIdempotency].some((f) => typeof f !== 'function')) process.exit(1)";
  run(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { createIdempotency } from 'graphql-idempotency'; import { migrate } from 'graphql-idempotency/migrate'; import { verifyIdempotency } from 'graphql-idempotency/testing'; ${probe}`,
    ],
    folder,
  );
  for (const entry of ['redis-streams', 'nats', 'rabbitmq', 'kafka']) {
    const broker = `import 'graphql-idempotency/${entry}';`;
    run(process.execPath, ['--input-type=module', '-e', broker], folder);
  }
  run(
    process.execPath,
    [
      '--no-warnings',
      '--input-type=commonjs',
      '-e',
      `const { createIdempotency } = require('graphql-idempotency'); const { migrate } = require('graphql-idempotency/migrate'); const { verifyIdempotency } = require('graphql-idempotency/testing'); ${probe}`,
    ],
    folder,
  );
  run(process.execPath, [join(modules, 'graphql-idempotency/dist/cli/main.js'), '--help'], folder);

  const alone = mkdtempSync(join(tmpdir(), 'graphql-idempotency-page-'));
  try {
    cpSync(join(modules, 'graphql-idempotency'), join(alone, 'node_modules/graphql-idempotency'), {
      recursive: true,
    });
    writeFileSync(join(alone, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(alone, 'tsconfig.json'), JSON.stringify(pageConfig));
    writeFileSync(join(alone, 'page.ts'), page);
    run(bin('tsc'), ['-p', alone], alone);
    const client = "import { idempotentFetch } from 'graphql-idempotency/client'; idempotentFetch();";
    run(process.execPath, ['--input-type=module', '-e', client], alone);
  } finally {
    rmSync(alone, { recursive: true, force: true });
  }
  console.log(`${packed}: imported, required, type-checked and run.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
