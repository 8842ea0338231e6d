/** One row of the storm: all clients, with one way to retry, through the outage. */

import { LIGHT_PLATFORM } from './light-platform.ts';
import type { Platform } from './light-platform.ts';
import { StormServer } from './server.ts';
import type { StormClient, Strategy } from './strategy.ts';
import { seededRandom } from './seeded-random.ts';
import type { VirtualClock } from './virtual-clock.ts';
import { withVirtualTime } from './with-virtual-time.ts';
import { normalPerSecond, outageEndMs } from './world.ts';
import type { World } from './world.ts';

export interface Row {
  readonly name: string;
  /** Intents that each client began per second. */
  readonly ratePerClient: number;
  readonly requestsPerIntent: number;
  /** Requests per second over the normal load, from the beginning until the storm was over. */
  readonly load: readonly number[];
  /** The highest load of a second in the outage, and of one after it. */
  readonly peakDuring: number;
  readonly peakAfter: number;
  /** The highest load of ten milliseconds. */
  readonly peakOfTenMs: number;
  /** From the outage's end until its last intent had ended and the load stayed normal; absent where that took too long. */
  readonly drainMs: number | undefined;
  /** Intents that were begun during the outage. */
  readonly met: number;
  /** Intents that ended without an answer. */
  readonly lost: number;
  /** Of those begun during the outage, intents that were answered after all. */
  readonly saved: number;
  readonly executedTwice: number;
}

/** A load that is this near to the normal one is normal. */
const NEAR = 0.05;
/** The load must have been normal for so long. */
const CALM_MS = 3000;
const SECOND_MS = 1000;

interface Counts {
  begun: number;
  met: number;
  lost: number;
  saved: number;
  /** Intents from before the outage's end that have not ended. */
  open: number;
  lastOpenMs: number;
  /** When the storm was over, or too long. */
  stoppedMs: number | undefined;
}

export async function simulate(
  given: World,
  strategy: Strategy,
  platform: Platform | undefined = LIGHT_PLATFORM,
): Promise<Row> {
  const world = strategy.hasBudget ? given : { ...given, ratePerClient: given.rateWithoutBudget };
  const counts: Counts = {
    begun: 0,
    met: 0,
    lost: 0,
    saved: 0,
    open: 0,
    lastOpenMs: 0,
    stoppedMs: undefined,
  };
  const failures: unknown[] = [];
  let server: StormServer | undefined;
  await withVirtualTime({ seed: world.seed, platform }, (clock) => {
    server = new StormServer(world, clock);
    beginIntents(world, { strategy, clock, server, counts, failures });
    watch(world, { clock, server, counts });
  });
  if (failures.length > 0) throw failures[0];
  return measure(world, strategy.name, server!, counts);
}

interface Parts {
  readonly strategy: Strategy;
  readonly clock: VirtualClock;
  readonly server: StormServer;
  readonly counts: Counts;
  readonly failures: unknown[];
}

/** Every client begins an intent each period; its phase is its own, so that together they are an even load. */
function beginIntents(world: World, { strategy, clock, server, counts, failures }: Parts): void {
  const phases = seededRandom(~world.seed);
  const periodMs = SECOND_MS / world.ratePerClient;
  const endMs = outageEndMs(world);
  const follow = async (client: StormClient): Promise<void> => {
    const intent = counts.begun;
    const begunMs = clock.nowMs;
    const met = begunMs >= world.warmUpMs && begunMs < endMs;
    counts.begun += 1;
    if (met) counts.met += 1;
    if (begunMs < endMs) counts.open += 1;
    const answered = await client.begin(intent);
    if (!answered) counts.lost += 1;
    else if (met) counts.saved += 1;
    if (begunMs >= endMs) return;
    counts.open -= 1;
    counts.lastOpenMs = clock.nowMs;
  };
  for (let number = 0; number < world.clients; number += 1) {
    const client = strategy.createClient(server, world);
    const phaseMs = phases() * periodMs;
    let begun = 0;
    const next = (): void => {
      if (counts.stoppedMs !== undefined) return;
      follow(client).catch((error: unknown) => failures.push(error));
      begun += 1;
      clock.at(phaseMs + begun * periodMs, next);
    };
    clock.at(phaseMs, next);
  }
}

/** Stops the clients when the storm is over; what is under way then still ends. */
function watch(world: World, { clock, server, counts }: Pick<Parts, 'clock' | 'server' | 'counts'>): void {
  const endMs = outageEndMs(world);
  const look = (): void => {
    const now = clock.nowMs;
    const load = server.load.overNormal(normalPerSecond(world), { binMs: SECOND_MS, untilMs: now });
    const calm = load.slice(-CALM_MS / SECOND_MS).every(isNormal);
    if ((counts.open === 0 && calm) || now >= endMs + world.watchMs) counts.stoppedMs = now;
    else clock.at(now + SECOND_MS, look);
  };
  clock.at(endMs + CALM_MS, look);
}

function measure(world: World, name: string, server: StormServer, counts: Counts): Row {
  const normal = normalPerSecond(world);
  const endMs = outageEndMs(world);
  const untilMs = counts.stoppedMs!;
  const load = server.load.overNormal(normal, { binMs: SECOND_MS, untilMs });
  const isAfter = (_: number, second: number): boolean => second * SECOND_MS >= endMs;
  const isDuring = (_: number, second: number): boolean =>
    second * SECOND_MS >= world.warmUpMs && second * SECOND_MS < endMs;
  const calmFromMs = (load.findLastIndex((value) => !isNormal(value)) + 1) * SECOND_MS;
  const drainedMs = Math.max(counts.lastOpenMs, calmFromMs, endMs);
  return {
    name,
    ratePerClient: world.ratePerClient,
    requestsPerIntent: server.requests / counts.begun,
    load,
    peakDuring: Math.max(...load.filter(isDuring)),
    peakAfter: Math.max(...load.filter(isAfter)),
    peakOfTenMs: Math.max(...server.load.overNormal(normal, { binMs: 10, untilMs })),
    drainMs: untilMs >= endMs + world.watchMs ? undefined : drainedMs - endMs,
    met: counts.met,
    lost: counts.lost,
    saved: counts.saved,
    executedTwice: server.executedTwice(),
  };
}

function isNormal(load: number): boolean {
  return Math.abs(load - 1) <= NEAR;
}
