/** A step's timeout comes, whatever the garbage collector does meanwhile. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { within } from '../../support/signal.ts';
import { startLeases } from './leases.ts';
import type { Call, Field, Leases } from './leases.ts';

let leases: Leases;
let collect: () => void;
beforeAll(async () => {
  leases = await startLeases();
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as () => void;
});

const untilAborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve((signal.reason as Error).name)));

test.each<readonly [string, Field, string | undefined]>([
  ['with a key', 'refuse', 'collected'],
  ['without a key', 'loose', undefined],
])('after a collection, %s', async (_name, field, key) => {
  leases.during = ({ step }: Call) => {
    const waited = step('a', ({ signal }) => untilAborted(signal), { timeout: 300 });
    return pause(50).then(() => {
      collect();
      return within(waited);
    });
  };
  expect((await leases.call(field, key)).value).toBe('TimeoutError');
});

test('of more steps side by side than Node expects listeners', async () => {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => void warnings.push(message);
  process.on('warning', onWarning);
  leases.during = ({ step }: Call) =>
    Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        step(`s${at}`, ({ signal }) => signal.aborted, { timeout: 5000 }),
      ),
    );
  expect((await leases.call('refuse', 'many')).value).toEqual(Array.from({ length: 20 }, () => false));
  await pause(10);
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});
