/** Has the relay measured, and prints what it does against the loop. */

import { once } from 'node:events';
import { forkBench } from './fork-bench.ts';
import { percentile } from './percentile.ts';
import type { RelayFigures } from './relay-redis.ts';

/** Returns how many events per second a relay publishes to Redis, for each that the loop does. */
export async function reportRelay(env: Readonly<Record<string, string>>): Promise<number> {
  const child = forkBench('relay-redis.ts', env);
  const [answer] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [
    RelayFigures | number,
  ];
  if (typeof answer !== 'object' || answer === null)
    throw new Error('relay-redis.ts has ended without figures');
  const { relay, loop, lag } = answer;
  const ratio = Math.round((percentile(relay, 0.5) / percentile(loop, 0.5)) * 1000) / 1000;
  console.log('\n| events to Redis Streams | events/s | ratio |\n|---|---|---|');
  console.log(`| a relay, in batches | ${Math.round(percentile(relay, 0.5))} | ${ratio.toFixed(2)} |`);
  console.log(`| a loop that awaits each XADD | ${Math.round(percentile(loop, 0.5))} | 1.00 |`);
  console.log(
    `\nFrom the commit to the broker, at ${lag.rate} events/s: p50 ${Math.round(lag.p50Ms)} ms, p99 ${Math.round(lag.p99Ms)} ms.`,
  );
  return ratio;
}
