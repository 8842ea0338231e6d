/** An instance that is closed and opened again. */

import { expect, test } from 'vitest';
import { startSums } from '../guard/sums.ts';
import { deferred } from '../support/signal.ts';

test('waits for its calls when it closes, as it did the first time', async () => {
  const sums = await startSums();
  const [inside, goOn] = [deferred(), deferred()];
  sums.during = async (info, n) => {
    await sums.write(info, n);
    inside.resolve();
    await goOn.promise;
  };
  await sums.idempotency.open();
  await sums.idempotency.close();
  await sums.idempotency.open();
  const running = sums.add('k');
  await inside.promise;
  const closing = sums.idempotency.close();
  goOn.resolve();
  expect((await running).data).toEqual({ add: { n: 1 } });
  await closing;
  expect(await sums.rows()).toEqual([1]);
});
