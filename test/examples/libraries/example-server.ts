/** An example's server as a process of its own, and what a client sends to it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePort } from '../../support/free-port.ts';
import { forgetProcess, watchProcess } from '../../support/janitor.ts';
import { deferred, within } from '../../support/signal.ts';

export interface ExampleServerOptions {
  /** Where it is installed and built. */
  readonly folder: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** @defaultValue production, where Apollo Server refuses introspection */
  readonly nodeEnv?: 'development';
}

export interface Answer {
  readonly status: number;
  readonly replayed: boolean;
  readonly data: Readonly<Record<string, unknown>> | null | undefined;
  /** The code of the first error. */
  readonly code: string | undefined;
  /** All that came, for the message of a test that fails. */
  readonly text: string;
}

export interface Call {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly user: string;
  /** Sent as the header `Idempotency-Key`. */
  readonly key?: string | undefined;
}

export interface ExampleServer {
  /** What it has printed. */
  output(): string;
  send(call: Call): Promise<Answer>;
  /** Sends a signal, and resolves when it has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Starts `dist/server.js` and resolves when it says that it is ready. */
export async function startExample(options: ExampleServerOptions): Promise<ExampleServer> {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, ['dist/server.js'], {
    cwd: options.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Nothing of the test runner's: with NODE_ENV=test some servers leave signals alone.
    env: {
      PATH,
      HOME,
      NODE_ENV: options.nodeEnv ?? 'production',
      DATABASE_URL: options.databaseUrl,
      REDIS_URL: options.redisUrl,
      PORT: String(await freePort()),
    },
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error('node could not be started');
  watchProcess(pid);
  const exited = once(child, 'exit').finally(() => forgetProcess(pid));
  const ready = deferred<string>();
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      const url = /^ready (http:\S+)\n/m.exec(output)?.[1];
      if (url !== undefined) ready.resolve(url);
    });
  }
  const ended = exited.then(([code, signal]) => {
    throw new Error(`It ended with ${code ?? signal}`);
  });
  let url: string;
  try {
    url = await within(Promise.race([ready.promise, ended]), { timeoutMs: 50_000, what: 'its ready line' });
  } catch (cause) {
    child.kill('SIGKILL');
    throw new Error(`The server did not start:\n${output}`, { cause });
  } finally {
    ended.catch(() => undefined);
  }
  return {
    output: () => output,
    send: (call) => post(url, call),
    async end(signal) {
      child.kill(signal);
      await within(exited, { timeoutMs: 25_000, what: `the end of the server by ${signal}` });
    },
  };
}

async function post(url: string, { query, variables, user, key }: Call): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${user}`,
      ...(key !== undefined && { 'idempotency-key': key }),
    },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  const { data, errors } = JSON.parse(text) as {
    data?: Answer['data'];
    errors?: readonly { extensions?: { code?: string } }[];
  };
  return {
    status: response.status,
    replayed: response.headers.get('idempotent-replayed') === 'true',
    data,
    code: errors?.[0]?.extensions?.code,
    text,
  };
}
