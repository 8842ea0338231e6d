/** A replay whose authorization takes long. */

import { expect, test } from 'vitest';
import { deferred } from '../support/signal.ts';
import { startSums } from './sums.ts';

test('keeps nobody else on the record that it read', async () => {
  const sums = await startSums();
  expect((await sums.add('k')).data).toEqual({ add: { n: 1 } });
  const [asked, goOn] = [deferred(), deferred()];
  sums.authorize = async () => {
    asked.resolve();
    await goOn.promise;
  };
  const slow = sums.add('k');
  await asked.promise;
  sums.authorize = () => {};
  // Its time is over now; whoever comes next may execute.
  await sums.sql(
    `update graphql_idempotency.record set expires_at = clock_timestamp(), takeover_after = clock_timestamp()`,
  );
  expect((await sums.add('k')).data).toEqual({ add: { n: 1 } });
  expect(sums.runs()).toBe(2);
  goOn.resolve();
  expect((await slow).data).toEqual({ add: { n: 1 } });
});
