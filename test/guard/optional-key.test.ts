/** A guarded field that may be called without a key: in a transaction all the same. */

import type { GraphQLResolveInfo } from 'graphql';
import type { Transaction } from 'graphql-idempotency';
import { FinalError } from 'graphql-idempotency';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Service } from '../support/service.ts';
import { expectRefusal } from '../apollo/refusal.ts';

interface Attempt {
  readonly tx: Transaction;
  readonly key: string | undefined;
  readonly attempt: number;
  readonly deriveKey: (name: string) => string;
}

let service: Service;
let act: (attempt: Attempt) => unknown;
const insert = async ({ tx }: Attempt): Promise<string> => {
  await tx.query('insert into payments (amount) values (5)');
  return 'inserted';
};

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    options: { poolSize: 1, storeError: () => true },
    typeDefs: 'extend type Mutation { free(n: Int): String @idempotent(required: false) }',
    resolvers: (idempotency) => ({
      Mutation: {
        free: (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) =>
          act(idempotency.current(info)),
      },
    }),
  });
});
beforeEach(() => {
  act = insert;
});
afterAll(() => service.stop());

const send = (key?: string) =>
  service.send({ query: 'mutation { free }', ...(key === undefined ? {} : { key }) });

async function changes(work: () => Promise<unknown>): Promise<[payments: number, records: number]> {
  const before = [(await service.payments()).length, await service.records()] as const;
  await work();
  return [(await service.payments()).length - before[0], (await service.records()) - before[1]];
}

test('with a key it is guarded like any other', async () => {
  const counts = await changes(async () => {
    expect((await send('optional')).body.extensions.idempotency.free.outcome).toBe('executed');
    expect((await send('optional')).headers.get('idempotent-replayed')).toBe('true');
  });
  expect(counts).toEqual([1, 1]);
});

test('without a key it executes every time, and leaves no record', async () => {
  const counts = await changes(async () => {
    for (let n = 0; n < 2; n += 1) {
      const reply = await send();
      expect(reply.body).toEqual({ data: { free: 'inserted' } });
      expect(reply.headers.get('idempotent-replayed')).toBeNull();
    }
  });
  expect(counts).toEqual([2, 0]);
});

test('a key that is malformed is refused, not ignored', async () => {
  expect(await changes(async () => expectRefusal(await send('not good'), 'KEY_INVALID', 400))).toEqual([
    0, 0,
  ]);
});

test.each<readonly [string, (attempt: Attempt) => unknown]>([
  ['throws', () => Promise.reject(new Error('no'))],
  ['throws a final error, which nobody could ask for again', () => Promise.reject(new FinalError('no'))],
  ['returns an error', () => new Error('no')],
])('without a key it rolls back when it %s', async (_how, failure) => {
  act = async (attempt) => {
    await insert(attempt);
    return failure(attempt);
  };
  const counts = await changes(async () => {
    const reply = await send();
    expect(reply.body.data).toEqual({ free: null });
    expect(reply.body.errors[0].message).toBe('no');
  });
  expect(counts).toEqual([0, 0]);
});

test('without a key a swallowed SQL error is no success either', async () => {
  act = async (attempt) => {
    await insert(attempt);
    await attempt.tx.query('select 1/0').catch(() => {});
    return 'fine';
  };
  expect(await changes(async () => expectRefusal(await send(), 'TRANSACTION_BROKEN', 500))).toEqual([0, 0]);
});

test('without a key a failure of Postgres is told as one', async () => {
  act = async (attempt) => {
    await insert(attempt);
    await attempt.tx.query(`do $$ begin raise exception 'x' using errcode = '40001'; end $$`);
  };
  expect(await changes(async () => expectRefusal(await send(), 'TRANSACTION_ABORTED', 503))).toEqual([0, 0]);
});

test('without a key a constraint that fails at COMMIT is no success', async () => {
  act = async (attempt) => {
    await insert(attempt);
    await attempt.tx.query(
      'create temporary table p (id int primary key deferrable initially deferred) on commit drop',
    );
    await attempt.tx.query('insert into p values (1), (1)');
    return 'fine';
  };
  expect(await changes(async () => expectRefusal(await send(), 'TRANSACTION_BROKEN', 500))).toEqual([0, 0]);
});

test('without a key its handle is dead once it has returned', async () => {
  let handle: Transaction | undefined;
  act = (attempt) => {
    handle = attempt.tx;
    return 'fine';
  };
  await send();
  await expect(handle!.query('select 1')).rejects.toThrow(/transaction is over/);
});

test('without a key there is no key, and derived keys are new each time', async () => {
  const seen: unknown[] = [];
  act = ({ key, attempt, deriveKey }) => {
    seen.push([key, attempt]);
    const [one, same, other] = [deriveKey('a'), deriveKey('a'), deriveKey('b')];
    expect(one).toBe(same);
    expect(one).not.toBe(other);
    return one;
  };
  const replies = [await send(), await send()];
  expect(new Set(replies.map(({ body }) => body.data.free)).size).toBe(2);
  expect(seen).toEqual([
    [undefined, 1],
    [undefined, 1],
  ]);
});
