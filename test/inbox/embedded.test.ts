/** In the embedded database, which is one connection, messages are handled like anywhere. */

import { createIdempotency, FinalError } from 'graphql-idempotency';
import { expect, onTestFinished, test } from 'vitest';
import { removeFolder, temporaryFolder } from '../support/janitor.ts';
import { codeOf } from '../guard/direct/calls.ts';
import { failing, never } from './inbox-case.ts';

test('a message is handled once, fails, dies and is redriven, on one connection', async () => {
  const folder = await temporaryFolder('inbox-');
  const idempotency = createIdempotency({
    scope: () => 'a',
    embedded: true,
    embeddedFolder: folder,
    redis: false,
    logger: { info: () => {}, warn: () => {}, error: () => {} },
  });
  onTestFinished(async () => {
    await idempotency.close();
    removeFolder(folder);
  });
  const { inbox } = idempotency;
  const message = { consumer: 'ledger', messageId: 'm1', payload: { n: 1 } };
  const insert = (tx: { query: (text: string) => Promise<unknown> }): Promise<unknown> =>
    tx.query(`insert into effects (name) values ('a')`);
  await inbox.process({ ...message, messageId: 'table' }, (tx) =>
    tx.query('create table effects (name text)'),
  );
  await expect(inbox.process(message, failing)).rejects.toThrow('no');
  const copies = [1, 2, 3].map((deliveries) => codeOf(inbox.process({ ...message, deliveries }, insert)));
  // One connection: a copy waits for the first, or is told that it is at work.
  const answers = await Promise.all(copies);
  expect(answers).toContainEqual({ outcome: 'executed' });
  expect(await inbox.process({ ...message, deliveries: 4 }, never)).toEqual({ outcome: 'replayed' });
  const dead = { ...message, messageId: 'm2' };
  const final = (): never => {
    throw new FinalError('never');
  };
  expect(await inbox.process(dead, final)).toMatchObject({ outcome: 'dead' });
  expect(await inbox.redrive({}, (letter) => inbox.process(letter, insert))).toEqual({
    handled: 1,
    failed: 0,
  });
  expect(await inbox.deadLetters()).toEqual([]);
  await inbox.process({ ...message, messageId: 'count' }, async (tx) => {
    const { rows } = await tx.query<{ count: number }>('select count(*)::int as count from effects');
    expect(rows).toEqual([{ count: 2 }]);
  });
}, 90_000);
