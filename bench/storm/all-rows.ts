/** Simulates all rows, each in a process of its own, as many at once as there are processors. */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Row } from './simulate.ts';
import { STRATEGIES } from './strategies.ts';
import type { World } from './world.ts';

/** Told of each row that is there, with how long it took in seconds. */
export type OnRow = (name: string, seconds: number) => void;

export async function simulateAll(world: World, onRow: OnRow): Promise<readonly Row[]> {
  const rows: (Row | undefined)[] = STRATEGIES.map(() => undefined);
  // The engine's rows take longest; begun last, they would be waited for.
  const waiting = STRATEGIES.map((_, index) => index).sort((a, b) => cost(b) - cost(a));
  const work = async (): Promise<void> => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const { name } = STRATEGIES[index]!;
      const begun = performance.now();
      rows[index] = await simulateApart(world, name);
      onRow(name, (performance.now() - begun) / 1000);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return rows as readonly Row[];
}

function cost(index: number): number {
  return STRATEGIES[index]!.name.startsWith('full jitter') ? STRATEGIES.length - index : 0;
}

async function simulateApart(world: World, name: string): Promise<Row> {
  const child = fork(new URL('./row-process.ts', import.meta.url), [name, JSON.stringify(world)], {
    env: {
      ...process.env,
      TSX_TSCONFIG_PATH: fileURLToPath(new URL('../../tsconfig.json', import.meta.url)),
    },
    // Most of what is made lives for as long as a request: with room for it, less is copied.
    execArgv: ['--import', import.meta.resolve('tsx'), '--max-semi-space-size=64'],
  });
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`The row "${name}" ended without a result (exit code ${String(code)}).`);
  });
  const [row] = (await Promise.race([once(child, 'message'), failed])) as [Row];
  // It exits now, as it should.
  failed.catch(() => undefined);
  return row;
}
