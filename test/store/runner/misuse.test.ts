/** Runners that do something else than what they should: found at startup, and safe where they begin it later. */

import { ConfigurationError, createIdempotency } from 'graphql-idempotency';
import type pg from 'pg';
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { paidFor, pay } from '../../faults/postgres/retries.ts';
import { createDatabase } from '../../support/database.ts';
import { libraryOn, send } from './libraries.ts';
import { poolOn } from './pool-on.ts';
import { startWith } from './start-with.ts';
import type { Runner } from './start-with.ts';

let databaseUrl: string;
beforeAll(async () => {
  ({ url: databaseUrl } = await createDatabase({ migrated: true }));
});

interface Misuse {
  readonly says: RegExp;
  readonly runner: (pool: pg.Pool) => Runner;
  /** What a call is answered whose runner was sound when the server started; nothing: that it succeeded. */
  readonly begunLater: string | undefined;
}

const refused = 'IDEMPOTENCY_STORE_UNAVAILABLE';

const misusing: Readonly<Record<string, Misuse>> = {
  'does not call its work': {
    says: /without calling its work/,
    runner: () => async () => {},
    begunLater: refused,
  },
  'does not await its work': {
    says: /must return, or await, what work gives/,
    runner: (pool) => async (work) => {
      const client = await pool.connect();
      await client.query('begin');
      void work({ client, query: async (text, values) => send(client, text, values) });
      await client.query('commit');
      client.release();
    },
    begunLater: refused,
  },
  'swallows the error of its work': {
    says: /resolved although its work had failed/,
    runner: (pool) => async (work) => {
      await libraryOn(pool)(work).catch(() => {});
    },
    // This one's work does not fail.
    begunLater: undefined,
  },
  'lets other connections run the statements': {
    says: /does not run in the transaction/,
    runner: (pool) => libraryOn(pool, { query: async (_client, text) => (await pool.query(text)).rows }),
    begunLater: 'IDEMPOTENCY_TRANSACTION_BROKEN',
  },
  'begins at a higher isolation': {
    says: /SERIALIZABLE. Begin it in READ COMMITTED/,
    runner: (pool) => libraryOn(pool, { begin: 'begin isolation level serializable' }),
    begunLater: refused,
  },
  'begins read only': {
    says: /READ ONLY/,
    runner: (pool) => libraryOn(pool, { begin: 'begin read only' }),
    begunLater: refused,
  },
  'gives rows as arrays': {
    says: /rows as objects/,
    runner: (pool) =>
      libraryOn(pool, {
        query: async (client, text) => (await client.query({ text, rowMode: 'array' })).rows,
      }),
    begunLater: refused,
  },
  'gives no rows': {
    says: /rows as objects/,
    runner: (pool) => libraryOn(pool, { query: async () => undefined }),
    begunLater: refused,
  },
};

describe.each(Object.entries(misusing))('a runner that %s', (what, { says, runner, begunLater }) => {
  test('stops the server at startup, and the error says why', async () => {
    const error = await startWith(databaseUrl, runner(poolOn(databaseUrl))).catch(
      (failure: unknown) => failure,
    );
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as Error).message).toMatch(/^The option `transaction`: /);
    expect((error as Error).message).toMatch(says);
  });

  test('runs no resolver twice where it begins that later', async () => {
    const pool = poolOn(databaseUrl);
    const sound = libraryOn(pool);
    const misusingRunner = runner(pool);
    let misused = false;
    const service = await startWith(databaseUrl, (work) => (misused ? misusingRunner(work) : sound(work)));
    const key = `later-${what.replaceAll(' ', '-')}`;
    misused = true;
    const { code } = await pay(service, key);
    misused = false;
    expect(code).toBe(begunLater);
    const runs = service.runs();
    expect(runs).toBe(begunLater === 'IDEMPOTENCY_STORE_UNAVAILABLE' ? 0 : 1);
    expect((await pay(service, key)).code).toBe(runs === 0 ? undefined : begunLater);
    expect(service.runs()).toBe(1);
    expect(await paidFor(service, key)).toBe(begunLater === 'IDEMPOTENCY_TRANSACTION_BROKEN' ? 0 : 1);
  });
});

test('the embedded database is refused: it has no connection to look what became of the transaction', async () => {
  vi.stubEnv('DATABASE_URL', undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  const idempotency = createIdempotency({ scope: () => 'a', embedded: true, transaction: async () => {} });
  await expect(idempotency.open()).rejects.toThrow('needs a Postgres server');
});

test('an option that is no function is refused', () => {
  const transaction = 'prisma' as never;
  expect(() => createIdempotency({ scope: () => 'a', embedded: true, transaction })).toThrow(
    'The option `transaction` expects a function.',
  );
});
