/** No answer to a client holds a key, a scope, arguments, SQL or what a store said. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { FinalError } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorTable } from '../../src/errors/codes.ts';
import { createDatabase } from '../support/database.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { PostgresProxy } from '../support/postgres-proxy.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Reply, SendOptions, Service } from '../support/service.ts';

const KEY = 'sekret-key';
const NOTE = 'sekret-note';
const USER = 'sekret-user';

let service: Service;
let proxy: PostgresProxy;
let own: pg.Pool;
let act: (call: PayCall) => unknown;
const replies: Reply[] = [];
const told: unknown[] = [];
const listen = (message: unknown): void => {
  const { error: _, ...rest } = message as Record<string, unknown>;
  told.push(rest);
};

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  own = new pg.Pool({ connectionString: url });
  proxy = await startPostgresProxy({ target: url });
  service = await startService({
    databaseUrl: url,
    options: {
      postgres: proxy.url,
      commitTimeout: 1500,
      lockTimeout: 100,
      probeTimeout: 1500,
      acquireTimeout: 2000,
      maxResultBytes: 500,
      maxPayloadBytes: 2000,
      tombstoneTtl: 60_000,
      scope: ({ user }) => (user === 'nobody' ? undefined : user),
    },
    pay: (call) => act(call),
    typeDefs: 'scalar Any scalar Odd extend type Mutation { any(value: Odd): Any @idempotent plain: Any }',
    resolvers: () => ({ Odd: { __parseValue: (value: unknown) => () => value } }),
    // Development's default, which sends the stack of what was thrown.
    apollo: { includeStacktraceInErrorResponses: true },
  });
  subscribe('graphql-idempotency', listen);
});
afterAll(async () => {
  unsubscribe('graphql-idempotency', listen);
  await service.stop();
  await proxy.close();
  await own.end();
});

let sends = 0;
async function send(options: SendOptions = {}): Promise<Reply> {
  const reply = await service.send({
    key: `${KEY}-${(sends += 1)}`,
    user: USER,
    variables: { amount: 4242, note: NOTE },
    ...options,
  });
  replies.push(reply);
  return reply;
}

const setLatest = (change: string) =>
  own.query(
    `update graphql_idempotency.record set ${change} where completed_at = (select max(completed_at) from graphql_idempotency.record)`,
  );
const insert = ({ insert }: PayCall): unknown => insert();
const raise = (state: string) => (call: PayCall) =>
  call.tx.query(
    `do $$ begin raise exception 'select ${NOTE} from payments' using errcode = '${state}'; end $$`,
  );
const onPay = (key: string): string =>
  `mutation ($amount: Int!, $note: String) { pay(amount: $amount, note: $note) @idempotent(key: "${key}") { id } }`;

/** How each code is provoked. The codes of lease mode are not to be had yet. */
const provocations: Record<string, () => Promise<unknown>> = {
  KEY_MISSING: () =>
    service.send({ user: USER, variables: { note: NOTE } }).then((reply) => replies.push(reply)),
  KEY_INVALID: () => send({ key: `${KEY} ${KEY}` }),
  KEY_CONFLICT: () => send({ query: onPay(`${KEY}-a`), key: `${KEY}-b` }),
  KEY_AMBIGUOUS: () =>
    send({
      query: onPay(`${KEY}-a`).replace(
        '{ pay',
        `{ b: pay(amount: 1) @idempotent(key: "${KEY}-b") { id } pay`,
      ),
    }),
  KEY_UNSUPPORTED: () => send({ query: `mutation { plain @idempotent(key: "${KEY}") }` }),
  KEY_REUSED: async () => {
    await send({ key: `${KEY}-used` });
    await send({ key: `${KEY}-used`, variables: { amount: 4243, note: NOTE } });
  },
  IN_PROGRESS: async () => {
    act = async (call) => {
      act = insert;
      await send({ key: `${KEY}-busy` });
      return call.insert();
    };
    await send({ key: `${KEY}-busy` });
  },
  KEY_EXPIRED: async () => {
    await send({ key: `${KEY}-expired` });
    await setLatest(
      `completed_at = completed_at - interval '2 days', expires_at = expires_at - interval '2 days'`,
    );
    await send({ key: `${KEY}-expired` });
  },
  OUTCOME_UNKNOWN: async () => {
    proxy.on({ from: 'client', sql: /complete\(/ }, 'blackhole', 100);
    await send();
    await proxy.healAll();
    proxy.cut();
  },
  STORE_UNAVAILABLE: async () => {
    await proxy.refuse();
    proxy.cut();
    await send();
    await proxy.healAll();
  },
  TRANSACTION_ABORTED: async () => {
    act = raise('40001');
    await send();
  },
  TRANSACTION_BROKEN: async () => {
    act = async (call) => {
      await raise('22000')(call).catch(() => {});
      return { id: 'x' };
    };
    await send();
    act = async (call) => {
      await call.tx.query(`set local idempotency.attempt = '${NOTE}'`);
      return call.insert();
    };
    await send();
  },
  SCOPE_MISSING: () => send({ user: 'nobody' }),
  PAYLOAD_UNSUPPORTED: () =>
    send({ query: 'mutation ($value: Odd) { any(value: $value) }', variables: { value: NOTE } }),
  PAYLOAD_TOO_LARGE: () => send({ variables: { amount: 1, note: NOTE.repeat(1000) } }),
  RESULT_UNSERIALIZABLE: async () => {
    act = () => ({ note: () => NOTE });
    await send();
    act = () => {
      throw new FinalError('Declined.', { extensions: { why: () => NOTE } });
    };
    await send();
  },
  RESULT_TOO_LARGE: async () => {
    act = () => ({ note: NOTE.repeat(100) });
    await send();
  },
  RESULT_OMITTED: async () => {
    await send({ key: `${KEY}-omitted` });
    await setLatest(`outcome = 'omitted', body = null`);
    await send({ key: `${KEY}-omitted` });
  },
  RECORD_UNREADABLE: async () => {
    await send({ key: `${KEY}-unreadable` });
    await setLatest(`body = convert_to('${NOTE}', 'UTF8')`);
    await send({ key: `${KEY}-unreadable` });
  },
};

test.each(
  Object.keys(errorTable)
    .map((code) => code.replace('IDEMPOTENCY_', ''))
    .filter((code) => code !== 'LEASE_LOST'),
)('%s tells nothing of them', async (code) => {
  act = insert;
  replies.splice(0);
  told.splice(0);
  await provocations[code]!();
  const codes = replies.flatMap(({ body }) =>
    (body.errors ?? []).map((error: { extensions: { code: string } }) => error.extensions.code),
  );
  expect(codes).toContain(`IDEMPOTENCY_${code}`);
  for (const { body, headers } of replies) {
    const { data: _, ...rest } = body as Record<string, unknown>;
    expect(JSON.stringify(rest) + JSON.stringify([...headers])).not.toMatch(/sekret|424[23]/);
    for (const { message } of (body.errors ?? []) as { message: string }[]) {
      expect(message).toMatch(/Mutation\.\w+|^The operation/);
      expect(message).not.toMatch(/select|insert|graphql_idempotency|relation|ECONN|timeout|\bpg\b|redis/i);
    }
  }
  expect(JSON.stringify(told)).not.toMatch(/sekret|424[23]/);
  for (const { message } of service.log) expect(message).not.toMatch(/sekret|424[23]/);
});
