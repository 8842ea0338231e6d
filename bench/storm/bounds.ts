/** What must hold of the storm, and what must be seen in it for the measurement to mean anything. */

import { fullJitter, withBudget } from './engine.ts';
import { retryLink } from './retry-link.ts';
import type { Row } from './simulate.ts';
import type { World } from './world.ts';

export interface Bound {
  readonly claim: string;
  readonly measured: string;
  readonly holds: boolean;
}

export const HIGHEST_PEAK = 1.15;

/** RetryLink must stand out from the row with a budget by this factor, or the storm was none. */
const STANDS_OUT = 2;

export function checkBounds(rows: readonly Row[], { warmUpMs }: World): readonly Bound[] {
  const find = (name: string): Row => rows.find((row) => row.name === name)!;
  const [budget, jitter, apollo] = [withBudget, fullJitter, retryLink].map(({ name }) => find(name)) as [
    Row,
    Row,
    Row,
  ];
  const calm = rows.flatMap(({ load }) => load.slice(0, warmUpMs / 1000));
  const strayed = Math.max(...calm.map((load) => Math.abs(load - 1)));
  const peak = Math.max(budget.peakDuring, budget.peakAfter);
  const apolloPeak = Math.max(apollo.peakDuring, apollo.peakAfter);
  return [
    {
      claim: `${budget.name}: peak load during the outage at most ${HIGHEST_PEAK} × normal`,
      measured: budget.peakDuring.toFixed(3),
      holds: budget.peakDuring <= HIGHEST_PEAK,
    },
    {
      claim: `${budget.name}: peak load after the outage at most ${HIGHEST_PEAK} × normal`,
      measured: budget.peakAfter.toFixed(3),
      holds: budget.peakAfter <= HIGHEST_PEAK,
    },
    ...[budget, jitter].map(({ name, executedTwice }) => ({
      claim: `${name}: no intent executed twice`,
      measured: String(executedTwice),
      holds: executedTwice === 0,
    })),
    {
      claim: `${budget.name}: its retries get answers`,
      measured: String(budget.saved),
      holds: budget.saved > 0,
    },
    {
      claim: `${budget.name}: the storm drains`,
      measured: budget.drainMs === undefined ? 'never' : `${(budget.drainMs / 1000).toFixed(1)} s`,
      holds: budget.drainMs !== undefined,
    },
    {
      claim: `the measurement can fail: ${apollo.name} peaks at ${STANDS_OUT} × that or more`,
      measured: (apolloPeak / peak).toFixed(2),
      holds: apolloPeak >= STANDS_OUT * peak,
    },
    {
      claim: `the measurement can fail: ${apollo.name} executes intents twice`,
      measured: String(apollo.executedTwice),
      holds: apollo.executedTwice > 0,
    },
    {
      claim: 'the measurement can fail: load is normal before the outage, within 2 %',
      measured: `${(strayed * 100).toFixed(2)} %`,
      holds: strayed <= 0.02,
    },
  ];
}
