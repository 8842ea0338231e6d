/** Killed between any two reads or writes, a call in lease mode has one effect at a provider that honours keys. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redisPrefix, redisUrl } from '../../support/database.ts';
import { startPostgres } from '../../support/postgres-server.ts';
import type { PostgresServer } from '../../support/postgres-server.ts';
import { killOnce, policies } from './kill-round.ts';
import type { Verdict } from './kill-round.ts';
import { points } from './points.ts';
import { startStage } from './stage.ts';
import type { Stage } from './stage.ts';
import { together } from './together.ts';
import type { Policy } from './transfer.ts';

/** A few, to be quick. `npm run chaos:lease` kills 25 calls of each policy at every point. */
const KEYS: Readonly<Record<Policy, number>> = { RERUN: 3, REFUSE: 2 };
/** At how many points calls stand when a process is killed: fewer would start more processes. */
const POINTS_PER_KILL = 6;
const GROUPS = Math.ceil(points.length / POINTS_PER_KILL);
const inTurn = together(2);

/** Of its own: each call that stands with a connection holds one of the server's. */
let postgres: PostgresServer;
let stage: Stage;
const kills = new Map<number, Promise<readonly Verdict[]>>();

beforeAll(async () => {
  postgres = await startPostgres({ settings: { max_connections: '500' } });
  stage = await startStage({
    databaseUrl: postgres.url,
    redisUrl: redisUrl(),
    redisPrefix: redisPrefix(),
    migrate: true,
    // Many calls at once on a busy machine may take a while to come to their points.
    leaseMs: 60_000,
    leasesEnd: 'when-asked',
  });
});

afterAll(async () => {
  await stage.close();
  await postgres.remove();
});

describe('calls of both policies, whose process is killed', { concurrent: true, timeout: 300_000 }, () => {
  it.each(points.map(({ name }, index) => [name, index] as const))('at %s', async (name, index) => {
    const all = await killedIn(index % GROUPS);
    const own = all.filter(({ point }) => point === name);
    expect(own.flatMap(({ violations }) => violations)).toEqual([]);
    expect(own.map(({ policy, killed }) => ({ policy, killed }))).toEqual(
      policies.map((policy) => ({ policy, killed: KEYS[policy] })),
    );
  });
});

/** Kills the process of a group: its points are far from one another, so no two are of one message. */
function killedIn(group: number): Promise<readonly Verdict[]> {
  const own = points.filter((_, index) => index % GROUPS === group);
  const killed = kills.get(group) ?? inTurn(() => killOnce(stage, { points: own, keys: KEYS, name: '' }));
  kills.set(group, killed);
  return killed;
}
