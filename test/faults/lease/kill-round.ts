/** One kill: brings calls of both policies to stand at a point, kills their process, and retries elsewhere. */

import { isDeepStrictEqual } from 'node:util';
import { eventually } from '../../support/signal.ts';
import { Missed, bringToStand } from './bring-to-stand.ts';
import { check, newCall } from './call.ts';
import type { Call } from './call.ts';
import { knownAfter, leasesOver, lookUp } from './ledger.ts';
import type { Point } from './points.ts';
import { settle } from './retries.ts';
import { callTransfer } from './stage.ts';
import type { Stage } from './stage.ts';
import type { TransferChild } from './transfer-child.ts';
import type { Policy } from './transfer.ts';

export const policies: readonly Policy[] = ['RERUN', 'REFUSE'];

const SPARE_CONNECTIONS = 4;

/** What came of the calls of one policy. */
export interface Verdict {
  readonly point: string;
  readonly policy: Policy;
  /** Calls that were under way when the process was killed. */
  readonly killed: number;
  readonly runs: number;
  readonly effects: number;
  readonly violations: readonly string[];
}

export interface KillOptions {
  /** At each of them stand calls when the process is killed. */
  readonly points: readonly Point[];
  /** How many keys of each policy stand at each point. */
  readonly keys: Readonly<Record<Policy, number>>;
  /** Counts the keys of each point from here. @defaultValue 0 */
  readonly firstIndex?: number;
  /** Starts the name of every key. */
  readonly name: string;
}

export async function killOnce(
  stage: Stage,
  { points, keys, name, firstIndex = 0 }: KillOptions,
): Promise<Verdict[]> {
  const groups = points.map((point) => ({
    point,
    calls: policies.flatMap((policy) =>
      Array.from({ length: keys[policy] }, (_, index) =>
        newCall(policy, firstIndex + index, `${name}${point.name}`),
      ),
    ),
  }));
  const count = groups.reduce((total, { calls }) => total + calls.length, 0);
  // One for each, and then some: where none is free, a write goes to the reserved ones, which nobody marks.
  const child = await stage.startChild(count + SPARE_CONNECTIONS);
  try {
    const standing = await Promise.all(
      groups.map(async (group) => ({
        ...group,
        held: await bringToStand(stage, child, group.point, group.calls),
      })),
    );
    // Before the kill where the lease would be over soon after it: until then it is renewed.
    if (stage.leasesEnd === 'in-time') {
      await Promise.all(standing.map(({ point, calls }) => retryMeanwhile(stage, point, calls)));
    }
    await child.kill();
    await Promise.all(
      standing.map(async ({ point, calls, held }) => {
        held.disarm();
        if (point.arrives === 'at-once') await held.release();
        for (const { outcome } of await held.answers)
          if (outcome !== 'no answer') throw new Missed(`a call at ${point.name} was answered: ${outcome}`);
        await isLeft(stage, point, calls);
        if (stage.leasesEnd === 'when-asked') await retryMeanwhile(stage, point, calls);
        await leasesOver(stage, calls);
        await settle(stage, { point, calls, child, letIn: held.release });
      }),
    );
    return groups.flatMap(({ point, calls }) =>
      policies.map((policy) => verdictOn(stage, child, point, policy, calls)),
    );
  } finally {
    await child.close();
  }
}

function verdictOn(
  { runs, provider }: Stage,
  child: TransferChild,
  point: Point,
  policy: Policy,
  calls: readonly Call[],
): Verdict {
  const own = calls.filter((call) => call.policy === policy);
  const notes = new Set(own.map(({ note }) => note));
  return {
    point: point.name,
    policy,
    killed: own.length,
    runs: [...runs, ...child.runs()].filter(({ note }) => notes.has(note)).length,
    effects: provider.log.filter(({ kind, note }) => kind === 'done' && notes.has(note)).length,
    violations: own.flatMap(({ note, violations }) => violations.map((text) => `${note}: ${text}`)),
  };
}

/** Whoever retries while the lease lives is told to wait, or gets the answer that is there. */
async function retryMeanwhile(stage: Stage, { left }: Point, calls: readonly Call[]): Promise<void> {
  const known = await lookUp(stage, calls);
  await Promise.all(
    calls.map(async (call, index) => {
      // Nobody has claimed it: a retry would execute.
      if (known[index]!.record === 'none') return;
      const { outcome } = await callTransfer(stage.living.url, call.policy, call.note);
      if (left.completed && outcome === 'replayed') return;
      check(call, 'a retry before the end of the lease', outcome, 'IDEMPOTENCY_IN_PROGRESS');
    }),
  );
}

async function isLeft(stage: Stage, { left }: Point, calls: readonly Call[]): Promise<void> {
  const promised = knownAfter(left);
  // What was under way is committed a moment after its sender's death.
  await eventually(async () => {
    const known = await lookUp(stage, calls);
    return known.every((one) => isDeepStrictEqual(one, promised));
  }).catch(() => {});
  const known = await lookUp(stage, calls);
  for (const [index, call] of calls.entries()) check(call, 'left by the kill', known[index], promised);
}
