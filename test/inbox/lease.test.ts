/** Messages whose effects are outside of Postgres: handled by steps, under a lease. */

import { FinalError, NotExecutedError } from 'graphql-idempotency';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { codeOf } from '../guard/direct/calls.ts';
import { failing, never, startInboxCase } from './inbox-case.ts';
import type { InboxCase } from './inbox-case.ts';

let setting: InboxCase;
let inbox: InboxCase['inbox'];

beforeAll(async () => {
  setting = await startInboxCase();
  inbox = setting.inbox;
});
beforeEach(async () => {
  await setting.sql(
    'truncate effects, graphql_idempotency.inbox_failure, graphql_idempotency.record cascade',
  );
});

const message = { consumer: 'mailer', messageId: 'm1', payload: { n: 1 }, mode: 'LEASE' } as const;
const executed = { outcome: 'executed' };

test('its steps are done once, and a redelivery does none of them', async () => {
  const mailed: string[] = [];
  const answer = await inbox.process(message, async ({ step }) => {
    await step('mail', ({ key }) => void mailed.push(key));
    await step.transaction('note', async (tx) => void (await setting.write(tx, 'mailed')));
  });
  expect(answer).toEqual(executed);
  expect(await inbox.process({ ...message, deliveries: 2 }, never)).toEqual({ outcome: 'replayed' });
  expect(mailed).toHaveLength(1);
  expect(await setting.effects()).toEqual(['mailed']);
  expect(await setting.failures()).toEqual([]);
});

test('after an error its outcome is unknown: the next delivery is refused, until it is a dead letter', async () => {
  const thrice = { ...message, maxAttempts: 3 };
  await expect(inbox.process(thrice, failing)).rejects.toThrow('no');
  expect(await setting.failures()).toMatchObject([{ finished: 1, last_error: 'no' }]);
  expect(await codeOf(inbox.process(thrice, never))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(await inbox.process(thrice, never)).toMatchObject({
    outcome: 'dead',
    error: { code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' },
  });
});

test('with RERUN the next delivery goes on behind the steps that are done', async () => {
  const rerun = { ...message, abandoned: 'RERUN' } as const;
  const done: string[] = [];
  const handle = (fails: boolean) =>
    inbox.process(rerun, async ({ step, attempt }) => {
      await step('first', () => void done.push(`first ${attempt}`));
      if (fails) failing();
      await step('second', () => void done.push(`second ${attempt}`));
    });
  await expect(handle(true)).rejects.toThrow('no');
  expect(await handle(false)).toEqual(executed);
  expect(done).toEqual(['first 1', 'second 2']);
  expect(await setting.failures()).toEqual([]);
});

test('an error that says that nothing was done lets the next delivery handle it', async () => {
  const refused = inbox.process(message, () => {
    throw new NotExecutedError('not yet');
  });
  await expect(refused).rejects.toThrow('not yet');
  expect(await setting.failures()).toMatchObject([{ finished: 1 }]);
  expect(await inbox.process(message, () => {})).toEqual(executed);
  expect(await setting.failures()).toEqual([]);
});

test('a FinalError is its outcome for good: a dead letter that a redrive cannot handle', async () => {
  const answer = await inbox.process(message, () => {
    throw new FinalError('refused by the bank');
  });
  expect(answer).toMatchObject({ outcome: 'dead', error: { message: 'refused by the bank' } });
  const redriven = await inbox.redrive({}, (dead) => inbox.process({ ...dead, mode: 'LEASE' }, never));
  expect(redriven).toEqual({ handled: 0, failed: 1 });
  expect(await inbox.discard({ consumer: 'mailer' })).toBe(1);
});

test.each([
  ['completed', { outcome: 'completed', result: undefined }, { handled: 0, failed: 0 }, []],
  ['not executed', { outcome: 'not-executed' }, { handled: 1, failed: 0 }, ['redriven']],
] as const)(
  'a dead letter that an operator resolves as %s is none any more, or can be redriven',
  async (_outcome, recovery, totals, effects) => {
    expect(await inbox.process({ ...message, maxAttempts: 1 }, failing)).toMatchObject({ outcome: 'dead' });
    const redrive = () =>
      inbox.redrive({ consumer: 'mailer' }, (dead) =>
        inbox.process({ ...dead, mode: 'LEASE' }, async ({ step }) => {
          await step.transaction('redriven', async (tx) => void (await setting.write(tx, 'redriven')));
        }),
      );
    // Not before: nobody knows whether its effect has happened.
    expect(await redrive()).toEqual({ handled: 0, failed: 1 });
    const [letter] = await inbox.deadLetters();
    const [abandoned] = await setting.idempotency.abandoned();
    expect(abandoned).toMatchObject({ identity: letter!.identity, coordinate: 'inbox.mailer' });
    await setting.idempotency.resolve(letter!.identity, recovery);
    expect(await redrive()).toEqual(totals);
    expect(await setting.effects()).toEqual(effects);
    expect(await inbox.deadLetters()).toEqual([]);
    expect(await inbox.process(message, never)).toEqual({ outcome: 'replayed' });
  },
);

test('`recover` is asked by the consumer’s name, and what it finds out is the message’s outcome', async () => {
  const asked: string[] = [];
  const knowing = await startInboxCase({
    beside: setting,
    recover: {
      'inbox.mailer': ({ steps }) => {
        asked.push(...steps.map(({ name }) => name));
        return { outcome: 'completed', result: undefined };
      },
    },
  });
  const failed = inbox.process(message, async ({ step }) => {
    await step('mail', () => {});
    failing();
  });
  await expect(failed).rejects.toThrow('no');
  await knowing.idempotency.recover();
  expect(asked).toEqual(['mail']);
  expect(await inbox.process(message, never)).toEqual({ outcome: 'replayed' });
  expect(await setting.failures()).toEqual([]);
});

test('an event of a step leaves with the step, under the same id in every rerun', async () => {
  const ids: string[] = [];
  const handle = (fails: boolean) =>
    inbox.process({ ...message, abandoned: 'RERUN' }, async ({ step }) => {
      await step.transaction('tell', async (_tx, { outbox }) => {
        ids.push(outbox.add({ topic: 't', payload: 1 }));
        if (fails) throw new Error('no');
      });
    });
  await expect(handle(true)).rejects.toThrow('no');
  await handle(false);
  expect(ids).toHaveLength(2);
  expect(ids[1]).toBe(ids[0]);
  const rows = await setting.sql('select event_id from graphql_idempotency.outbox');
  expect(rows).toEqual([{ event_id: ids[0] }]);
});
