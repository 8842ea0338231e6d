/** A stampede of duplicates executes once, and takes nothing from anybody else. */

import { describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Reply, Service, ServiceOptions } from '../support/service.ts';
import { deferred, eventually, within } from '../support/signal.ts';
import { startProxied } from './proxied-service.ts';

const DUPLICATES = 500;
/** So many requests at once keep one process busy; that is not what is measured here. */
const patient = { claimTimeout: 20_000, commitTimeout: 20_000, acquireTimeout: 20_000 };
const soon = { timeoutMs: 25_000 };

function outcomes(replies: readonly Reply[]): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const { body, code } of replies) {
    const outcome = code ?? body.extensions.idempotency.pay.outcome;
    counted[outcome] = (counted[outcome] ?? 0) + 1;
  }
  return counted;
}

/** A resolver whose calls with the note `hold` wait inside their transaction for the test. */
function holding(): { readonly pay: NonNullable<ServiceOptions['pay']>; readonly open: () => void } {
  const opened = deferred();
  return {
    pay: async ({ args, insert }) => {
      const payment = await insert();
      if (args.note === 'hold') await opened.promise;
      return payment;
    },
    open: opened.resolve,
  };
}

describe(`${DUPLICATES} duplicates of one key at once`, () => {
  test('one executes with one claim, all others are told so at once, and an unrelated key is served meanwhile', async () => {
    const { pay, open } = holding();
    const { service, postgres } = await startProxied({
      pay,
      redis: false,
      replyDelayMs: 0,
      options: { ...patient, poolSize: 5, poolQueueSize: 0 },
    });
    const duplicates = Array.from({ length: DUPLICATES }, () =>
      service.send({ key: 'a', variables: { note: 'hold' } }),
    );
    const refused: Reply[] = [];
    for (const duplicate of duplicates)
      void duplicate.then((reply) => reply.status === 409 && refused.push(reply));
    await eventually(() => refused.length === DUPLICATES - 1, soon);
    expect(outcomes(refused)).toEqual({ IDEMPOTENCY_IN_PROGRESS: DUPLICATES - 1 });
    expect(refused.every(({ headers }) => headers.get('retry-after') === '1')).toBe(true);

    const unrelated = await within(service.send({ key: 'b' }), {
      what: 'the unrelated key',
      timeoutMs: 10_000,
    });
    expect(unrelated.body.extensions.idempotency.pay.outcome).toBe('executed');
    open();
    expect(outcomes(await Promise.all(duplicates))).toEqual({
      executed: 1,
      IDEMPOTENCY_IN_PROGRESS: DUPLICATES - 1,
    });
    expect((await service.payments()).filter(({ note }) => note === 'hold')).toHaveLength(1);
    expect(postgres.counts().statements.filter((sql) => sql.includes('.claim('))).toHaveLength(2);
    expect(postgres.counts().commits).toBe(2);
  });

  test('of a completed key: one look-up answers all of them', async () => {
    let arrived = 0;
    const { service, postgres, reset } = await startProxied({
      redis: false,
      options: {
        ...patient,
        poolSize: 5,
        poolQueueSize: 0,
        scope: ({ user }) => {
          arrived += 1;
          return user;
        },
      },
    });
    const first = await service.send({ key: 'a' });
    await reset();
    arrived = 0;
    // Together in flight, until the last of them has come as far as its identity.
    const claim = postgres.on({ from: 'client', sql: /\.claim\(/ }, 'hold');
    const replies = Array.from({ length: DUPLICATES }, () => service.send({ key: 'a' }));
    await eventually(() => arrived === DUPLICATES, soon);
    claim.release();
    const answered = await Promise.all(replies);
    expect(outcomes(answered)).toEqual({ replayed: DUPLICATES });
    expect(new Set(answered.map(({ body }) => body.data.pay.id))).toEqual(new Set([first.body.data.pay.id]));
    expect(service.runs()).toBe(2);
    expect(postgres.counts().statements.filter((sql) => sql.includes('.claim('))).toHaveLength(1);
  });
});

test('duplicates that reach several servers at once execute once, and leave one record', async () => {
  const { url } = await createDatabase({ migrated: true });
  const { pay, open } = holding();
  const services: Service[] = [];
  for (let at = 0; at < 3; at += 1) {
    services.push(
      await startService({ databaseUrl: url, pay, options: { ...patient, poolSize: 5, migrate: false } }),
    );
  }
  try {
    const duplicates = services.flatMap((service) =>
      Array.from({ length: 40 }, () => service.send({ key: 'a', variables: { note: 'hold' } })),
    );
    let refused = 0;
    for (const duplicate of duplicates)
      void duplicate.then(({ status }) => (refused += status === 409 ? 1 : 0));
    await eventually(() => refused === duplicates.length - 1, soon);
    const others = await Promise.all(services.map((service, at) => service.send({ key: `other-${at}` })));
    expect(outcomes(others)).toEqual({ executed: 3 });
    open();
    expect(outcomes(await Promise.all(duplicates))).toEqual({
      executed: 1,
      IDEMPOTENCY_IN_PROGRESS: duplicates.length - 1,
    });
    expect(services.reduce((runs, service) => runs + service.runs(), 0)).toBe(4);
    expect(await services[0]!.payments()).toHaveLength(4);
    expect(await services[0]!.records()).toBe(4);
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
});
