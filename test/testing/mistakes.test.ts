/** verifyIdempotency catches the mistakes that cost the guarantee, and names what is doubled or lost. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { deferred } from '../support/signal.ts';
import { openShop, PAY_OUT } from './shop.ts';
import type { Queryable, Shop } from './shop.ts';

let shop: Shop;
let joined: Queryable;
beforeAll(async () => {
  shop = await openShop();
  joined = shop.idempotency.pool;
});
beforeEach(() => {
  shop.note = () => null;
});
afterAll(() => shop.stop());

const kinds = ({ findings }: { findings: readonly { kind: string; effects: readonly string[] }[] }) =>
  findings.map(({ kind, effects }) => `${kind} ${effects.join(' ')}`);

test('a resolver that writes on another connection', async () => {
  shop.charge = ({ insert }) => insert(shop.elsewhere);
  const error = await shop.caught();
  expect(error.message).toBe(
    'Mutation.charge: `payments` happened although the mutation had failed (transaction killed at commit, thrown error), and once more with the retry: it is doubled (2 instead of 1). It is an effect outside the transaction, through which nothing was written at all: the resolver most likely writes on another connection. Write rows through `idempotency.pool` or `idempotency.driver`, or through `idempotency.current(info).tx`. For what is not in Postgres, use mode: LEASE with a step, or an outbox.',
  );
  expect(error.name).toBe('VerificationError');
  expect(error.findings).toEqual([
    {
      kind: 'doubled',
      effects: ['payments'],
      scenarios: ['transaction killed at commit', 'thrown error'],
      message: error.message,
    },
  ]);
});

test('a resolver that sends an email inside the transaction', async () => {
  shop.charge = async ({ attempt, insert }) => {
    shop.outbox.push('receipt');
    return insert(attempt.tx as Queryable);
  };
  const error = await shop.caught();
  expect(error.message).toMatch(
    /^Mutation\.charge: `emails` happened although the mutation had failed \(transaction killed at commit, thrown error\), and once more with the retry: it is doubled \(2 instead of 1\)\. It is an effect outside the transaction\. .*use mode: LEASE with a step, or an outbox\.$/,
  );
  expect(kinds(error)).toEqual(['doubled emails']);
});

test('a resolver that ends the transaction by COMMIT', async () => {
  shop.charge = async ({ attempt, insert }) => {
    const id = await insert(attempt.tx as Queryable);
    await (await shop.clientOf(attempt)).query('commit');
    return id;
  };
  const error = await shop.caught();
  expect(error.message).toMatch(
    /^Mutation\.charge: its resolver ended the transaction .*\(TRANSACTION_BROKEN\), so `payments` happened although the client was told that the mutation had failed: the answer is lost, and whoever calls it again with a new key has the effect doubled\. Throw to roll back/,
  );
  expect(kinds(error)).toEqual(['lost payments']);
});

test('a resolver that ends the transaction by ROLLBACK', async () => {
  shop.charge = async ({ attempt, insert }) => {
    const id = await insert(attempt.tx as Queryable);
    await (await shop.clientOf(attempt)).query('rollback');
    return id;
  };
  const error = await shop.caught();
  expect(error.message).toMatch(/ended the transaction .*so `payments` and `emails` are lost\./);
});

test('a resolver that swallows the error of a statement', async () => {
  shop.charge = async ({ attempt, insert }) => {
    const id = await insert(attempt.tx as Queryable);
    shop.outbox.push('receipt');
    await attempt.tx.query('insert into payments (id) values ($1)', [id]).catch(() => {});
    return id;
  };
  const error = await shop.caught();
  expect(error.message).toMatch(
    /^Mutation\.charge: its resolver returned a result, but its transaction could not commit \(TRANSACTION_BROKEN: current transaction is aborted.*\)\. It was rolled back, and `payments` is lost\. `emails` happened all the same, and would be doubled by a retry\. Most likely the resolver caught the error of a statement/,
  );
  expect(kinds(error)).toEqual(['lost payments emails']);
});

test('a resolver that swallows it inside a transaction of a library, whose COMMIT then says ROLLBACK', async () => {
  shop.charge = async ({ insert }) => {
    const client = await shop.idempotency.pool.connect();
    await client.query('begin');
    const id = await insert(client);
    await client.query('insert into payments (id) values ($1)', [id]).catch(() => {});
    await client.query('commit');
    client.release();
    shop.outbox.push('receipt');
    return id;
  };
  const error = await shop.caught();
  expect(error.message).toMatch(
    /TRANSACTION_BROKEN: COMMIT was sent for a transaction in which a statement had failed/,
  );
  expect(kinds(error)).toEqual(['lost payments emails']);
});

test('a write that nobody awaits, and that comes to the transaction too late', async () => {
  let answered = deferred();
  shop.charge = async ({ attempt, insert }) => {
    void answered.promise.then(() => insert(attempt.tx as Queryable)).catch(() => {});
    await attempt.tx.query('select 1');
    return 1;
  };
  const effects = async () => {
    answered.resolve();
    answered = deferred();
    return shop.effects();
  };
  const error = await shop.caught({ effects });
  expect(error.message).toBe(
    'Mutation.charge: a statement came to its transaction after the resolver had settled, and was refused: `payments` and `emails` are lost. Nobody awaits it: await every query before the resolver returns.',
  );
  expect(kinds(error)).toEqual(['lost payments emails']);
});

test('such a write beside others that are awaited', async () => {
  let answered = deferred();
  shop.charge = async ({ attempt, insert }) => {
    void answered.promise.then(() => attempt.tx.query('insert into payments default values')).catch(() => {});
    return insert(attempt.tx as Queryable);
  };
  const effects = async () => {
    answered.resolve();
    answered = deferred();
    return shop.effects();
  };
  const error = await shop.caught({ effects });
  expect(error.message).toMatch(/after the resolver had settled, and was refused: `emails` is lost/);
  expect(kinds(error)).toEqual(['lost emails']);
});

test('such a write through a pool that joins', async () => {
  let answered = deferred();
  shop.charge = async ({ insert }) => {
    void answered.promise.then(() => insert(joined)).catch(() => {});
    return 1;
  };
  const effects = async () => {
    answered.resolve();
    answered = deferred();
    return shop.effects();
  };
  expect((await shop.caught({ effects })).message).toMatch(/was refused: `payments` and `emails` are lost/);
});

test('a write on another connection that nobody awaits', async () => {
  let counted = 0;
  let answered = deferred();
  let written: Promise<unknown> = Promise.resolve();
  shop.charge = ({ insert }) => {
    written = answered.promise.then(() => insert(shop.elsewhere));
    return 1;
  };
  // Three counts: before the call, at its answer, and when everything is there.
  const effects = async () => {
    const place = (counted += 1) % 3;
    if (place === 0) await written;
    const counts = await shop.effects();
    if (place === 2) {
      answered.resolve();
      answered = deferred();
    }
    return counts;
  };
  const error = await shop.caught({ effects });
  expect(error.message).toMatch(
    /^Mutation\.charge: `payments` happened although the mutation had failed \(transaction killed at commit, thrown error\), and once more with the retry: it is doubled \(2 instead of 1\)\. Nobody awaits it, and it is an effect outside the transaction\. Write rows through .*, and await them\./,
  );
  expect(kinds(error)).toEqual(['doubled payments']);
});

test('an effect in a field below the mutation, which is resolved anew for every replay', async () => {
  shop.charge = ({ attempt, insert }) => insert(attempt.tx as Queryable);
  shop.note = () => {
    shop.outbox.push('note');
    return 'noted';
  };
  const error = await shop.caught({ operation: 'mutation { charge(amount: 5) { id note } }' });
  expect(error.message).toMatch(
    /`emails` happened more than once \(retry after success, two at once\) although the resolver did its work once: it is doubled \(2 instead of 1\)\. It happens outside the resolver: in a field below it.*Do it in the resolver of Mutation\.charge\./,
  );
});

test('a memory that outlives the transaction, and takes the retry for done', async () => {
  const done = new Set<string | undefined>();
  shop.charge = async ({ attempt, insert }) => {
    if (done.has(attempt.key)) return 0;
    const id = await insert(attempt.tx as Queryable);
    done.add(attempt.key);
    return id;
  };
  const error = await shop.caught();
  expect(error.message).toMatch(
    /`payments` did not happen, although the mutation succeeded in the end \(transaction killed at commit, thrown error\): it is lost \(0 instead of 1\)\. Something that was not rolled back/,
  );
  expect(kinds(error)).toEqual(['lost payments']);
});

test('a row on another connection that the retry stumbles over', async () => {
  shop.charge = async ({ attempt }) => {
    const { rows } = await shop.elsewhere.query(
      'insert into payments (amount, once) values (1, $1) returning id',
      [attempt.key],
    );
    return rows[0].id;
  };
  const error = await shop.caught();
  expect(kinds(error)).toEqual(['early payments', 'answer ', 'answer ']);
  expect(error.message).toMatch(/`payments` happened although the mutation had failed/);
  expect(error.message).toMatch(/the retry failed, too \(thrown error\): “duplicate key value/);
});

test('an effect that the retry does not repeat is early, unless a derived key is said to protect it', async () => {
  const charged = new Set<string>();
  shop.charge = async ({ attempt, insert }) => {
    charged.add(attempt.deriveKey('provider'));
    return insert(attempt.tx as Queryable);
  };
  const effects = async () => ({ payments: (await shop.effects()).payments, charges: charged.size });
  const error = await shop.caught({ effects });
  expect(error.message).toMatch(
    /`charges` happened although .*; the retry did not repeat it\. .*name it in `keyed`\.$/,
  );
  expect(kinds(error)).toEqual(['early charges']);
  await expect(shop.verify({ effects, keyed: ['charges'] })).resolves.toMatchObject({
    effects: { payments: 1, charges: 1 },
  });
});

test('several mistakes are told in as many sentences', async () => {
  shop.charge = async ({ insert }) => {
    shop.outbox.push('receipt');
    return insert(shop.elsewhere);
  };
  const error = await shop.caught();
  expect(kinds(error)).toEqual(['doubled payments', 'doubled emails']);
  expect(error.message.split('\n')).toEqual(error.findings.map(({ message }) => message));
});

test('in mode: LEASE, an effect below the field that a replay repeats', async () => {
  shop.charge = ({ insert }) => insert(shop.elsewhere);
  shop.note = () => {
    shop.outbox.push('note');
    return 'noted';
  };
  const error = await shop.caught({ operation: PAY_OUT.replace('amount }', 'note }') });
  expect(error.message).toMatch(/^Mutation\.payOut: `emails` happened more than once/);
});
