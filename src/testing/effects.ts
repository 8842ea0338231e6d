/** What a mutation has done, as its author counts it: before, right at the answer, and a little later. */

import { setTimeout as sleep } from 'node:timers/promises';

/** Numbers by name, for example `{ payments: 3, emails: 1 }`. */
export type Counts = Readonly<Record<string, number>>;

export interface Counting {
  readonly effects: () => Counts | Promise<Counts>;
  /** How long after the answer effects are waited for. */
  readonly settleMs: number;
}

/** By how much the counts changed while something was done. */
export interface Growth {
  /** When the answer came. */
  readonly atOnce: Counts;
  readonly settled: Counts;
}

/** Does something, and says what grew by it. */
export async function observe<T>(
  { effects, settleMs }: Counting,
  work: () => Promise<T>,
): Promise<Growth & { readonly answer: T }> {
  const before = await counted(effects);
  const answer = await work();
  const atOnce = difference(await counted(effects), before);
  await sleep(settleMs);
  return { answer, atOnce, settled: difference(await counted(effects), before) };
}

/** The names of what changed. */
export function changed(growth: Counts): readonly string[] {
  return Object.keys(growth).filter((name) => growth[name] !== 0);
}

/** The names of what changed only after the answer. */
export function lateOnes({ atOnce, settled }: Growth): readonly string[] {
  return Object.keys(settled).filter((name) => settled[name] !== atOnce[name]);
}

export function sum(one: Counts, other: Counts): Counts {
  return Object.fromEntries(Object.keys(one).map((name) => [name, one[name]! + (other[name] ?? 0)]));
}

async function counted(effects: Counting['effects']): Promise<Counts> {
  const counts: unknown = await effects();
  const entries = typeof counts === 'object' && counts !== null ? Object.entries(counts) : [];
  if (entries.length === 0) {
    throw new TypeError('effects() must return counts by name, for example { payments: 3 }.');
  }
  for (const [name, count] of entries) {
    if (Number.isFinite(count)) continue;
    const hint =
      typeof count === 'string' ? ' Postgres counts in bigint, which comes as text: count(*)::int.' : '';
    throw new TypeError(`effects() must return numbers, and ${name} is of type ${typeof count}.${hint}`);
  }
  return Object.fromEntries(entries) as Counts;
}

function difference(after: Counts, before: Counts): Counts {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return Object.fromEntries([...names].map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]));
}
