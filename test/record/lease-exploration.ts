/** Goes through every moment that can be reached, breadth first, and holds each against the promises. */

import type { write } from '../../src/record/lease.ts';
import { moves } from './lease-actors.ts';
import type { Rules } from './lease-actors.ts';
import { Violation, storeModel } from './lease-store-model.ts';
import { EMPTY_WORLD, isSwapped, keyOf, renamed } from './lease-world.ts';
import type { World } from './lease-world.ts';

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** Kinds of writes that were accepted and refused, decisions, and states of the row. */
  readonly covered: ReadonlySet<string>;
  /** How many moments have no way to a completed record, or to none. */
  readonly stuck: number;
}

/** @throws Violation with the moves that lead to it */
export function explore(rules: Rules, writeFunction: typeof write): Exploration {
  const covered = new Set<string>();
  const cover = (what: string): void => void covered.add(what);
  const apply = storeModel(writeFunction, cover);
  const indexes = new Map<string, number>();
  const worlds: World[] = [];
  const parents: number[] = [];
  const labels: string[] = [];
  const edges: number[] = [];
  let current = -1;
  let checked = 0;
  let depth = 0;

  function emit(world: World, move: string): void {
    const swapped = isSwapped(world);
    const key = keyOf(world, swapped);
    let index = indexes.get(key);
    if (index === undefined) {
      index = worlds.length;
      indexes.set(key, index);
      const named = renamed(world, swapped);
      worlds.push(named);
      parents.push(current);
      labels.push(move);
      cover(`row ${named.row?.state ?? 'none'}`);
      checked = index;
      assertPromises(named, rules);
    }
    checked = current;
    if (current >= 0) edges.push(current, index);
  }

  try {
    emit(EMPTY_WORLD, 'start');
    for (let levelEnd = 1; worlds.length > current + 1;) {
      current += 1;
      if (current === levelEnd) {
        depth += 1;
        levelEnd = worlds.length;
      }
      moves(worlds[current]!, { rules, apply, emit, onDecision: (kind) => cover(`decided ${kind}`) });
    }
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    throw new Violation(`${error.message}, after: ${wayTo(checked)}`);
  }
  return {
    states: worlds.length,
    transitions: edges.length / 2,
    depth,
    covered,
    stuck: countStuck(worlds, edges),
  };

  function wayTo(last: number): string {
    const names: string[] = [];
    for (let index = last; index > 0; index = parents[index]!) names.unshift(labels[index]!);
    return `${names.join(', ')}; then ${JSON.stringify(worlds[last])}`;
  }
}

function assertPromises({ row, actors }: World, { abandoned, maxAttempts }: Rules): void {
  const holders = actors.filter(
    ({ role, alive }) => (role === 'running' || role === 'finding-out') && alive > 0,
  );
  if (holders.length > 1) throw new Violation('two held the lease at once');
  for (const { fence, alive } of holders) {
    if (row?.state !== 'pending' || row.fence !== fence || row.lease < alive)
      throw new Violation('a lease ended before its holder could know');
  }
  for (const { role, fence, known } of actors) {
    if (role !== 'running' || row?.fence !== fence || row.state !== 'pending') continue;
    const missing = row.steps.some(
      (by, step) => (by === 0) === ((known & (1 << step)) !== 0) && by !== fence,
    );
    if (missing) throw new Violation('the holder and the journal disagree about a step');
  }
  if (row === undefined) return;
  const most = abandoned === 'REFUSE' ? 1 : maxAttempts;
  if (row.attempt > most || row.runs > most || (row.state !== 'completed' && row.runs > row.attempt))
    throw new Violation('it was executed too often');
}

/** Backwards from the moments where the key is settled or new: what was not met has no way out. */
function countStuck(worlds: readonly World[], edges: readonly number[]): number {
  const counts = new Int32Array(worlds.length + 1);
  for (let edge = 0; edge < edges.length; edge += 2) counts[edges[edge + 1]! + 1]! += 1;
  for (let index = 0; index < worlds.length; index += 1) counts[index + 1]! += counts[index]!;
  const sources = new Int32Array(edges.length / 2);
  const cursors = counts.slice();
  for (let edge = 0; edge < edges.length; edge += 2) sources[cursors[edges[edge + 1]!]!++] = edges[edge]!;
  const met = new Uint8Array(worlds.length);
  const queue: number[] = [];
  const meet = (index: number): void => {
    if (met[index] === 1) return;
    met[index] = 1;
    queue.push(index);
  };
  worlds.forEach(({ row }, index) => {
    if (row === undefined || row.state === 'completed') meet(index);
  });
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (let at = counts[next]!; at < counts[next + 1]!; at += 1) meet(sources[at]!);
  }
  return worlds.length - met.reduce((sum, one) => sum + one, 0);
}
