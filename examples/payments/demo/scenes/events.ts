/** The scene of events: whoever publishes and whoever books is killed, and each payment is published and booked. */

import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Chance } from '../chance.ts';
import { countEvents } from '../event-counts.ts';
import { EventStream } from '../event-stream.ts';
import { drawOrders, sendOrders } from '../orders.ts';
import type { Play } from '../play.ts';
import { Restarted } from '../restarted.ts';
import { printFact } from '../table.ts';

const orderCount = 40;
const userCount = 8;
const repeated = 5;
/** For how long nothing may happen before what is missing counts as lost: far longer than a killed relay's claim. */
const quietMs = 15_000;

/** A moment to kill somebody: so long after so much is done. */
interface Moment {
  readonly count: number;
  readonly delayMs: number;
}

export async function publisherAndBookkeeperKilled(play: Play): Promise<void> {
  const { stage } = play;
  const broker = await stage.startBroker();
  if (broker === undefined) {
    play.scene('Events are not published: no redis-server on the PATH');
    return;
  }
  // One server only has the embedded database.
  await play.server.kill();
  const seed = process.env['DEMO_SEED'] || randomBytes(3).toString('hex');
  const chance = new Chance(seed);
  play.scene(`kill -9 of the server, with its relay, and of the bookkeeper (DEMO_SEED=${seed})`);

  const env = { BROKER_URL: broker.url };
  const server = new Restarted(async () => (play.server = await stage.startServer('server.ts', env)));
  const bookkeeper = new Restarted(() => stage.startBookkeeper(broker.url));
  const stream = new EventStream(broker.url);
  try {
    await Promise.all([server.url(), bookkeeper.url()]);
    const run = randomBytes(3).toString('hex');
    const users = Array.from({ length: userCount }, (_, index) => `customer-${index}-${run}`);
    const orders = drawOrders(chance, users, orderCount);

    const [serverKills, bookkeeperKills] = [drawMoments(chance, 6, 12), drawMoments(chance, 4, 9)];
    let answered = 0;
    // In the end more than anybody waits for: events that are lost must not make this wait for ever.
    const published = async (): Promise<number> => (answered === orderCount ? Infinity : stream.length());
    const [sent] = await together((signal) => [
      sendOrders(orders, { server, signal, onAnswered: () => (answered += 1) }),
      killAt(serverKills, {
        name: 'server, and its relay',
        victim: server,
        after: 'answers',
        count: async () => answered,
        signal,
      }),
      killAt(bookkeeperKills, {
        name: 'bookkeeper',
        victim: bookkeeper,
        after: 'events',
        count: published,
        signal,
      }),
    ]);
    play.surprises += sent.surprises.length;
    printFact(
      `${orderCount} charges in ${sent.requests} requests: ${sent.charged.length} executed, ${sent.refused} refused`,
    );
    for (const surprise of sent.surprises) printFact(surprise, 'wrong');
    printFact(
      `${await stream.repeat(repeated)} events published again, as by a relay that has not heard of it`,
    );
    await untilBooked(stream, orders.filter(({ isRefused }) => !isRefused).length);

    const [serverUrl, bookkeeperUrl] = await Promise.all([server.url(), bookkeeper.url()]);
    play.events = await countEvents({
      orders,
      charged: sent.charged,
      serverUrl,
      bookkeeperUrl,
      entries: await stream.entries(),
    });
  } finally {
    stream.close();
  }
}

/** Three moments, `every` so much. */
function drawMoments(chance: Chance, first: number, every: number): readonly Moment[] {
  return [0, 1, 2].map((index) => ({
    count: first + index * every + chance.between(0, 4),
    delayMs: chance.between(0, 60),
  }));
}

interface Kills {
  readonly name: string;
  readonly victim: Restarted;
  /** What is counted, and how many there are. */
  readonly after: string;
  readonly count: () => Promise<number>;
  readonly signal: AbortSignal;
}

async function killAt(
  moments: readonly Moment[],
  { name, victim, after, count, signal }: Kills,
): Promise<void> {
  for (const moment of moments) {
    while ((await count()) < moment.count) await pause(10, undefined, { signal });
    await pause(moment.delayMs, undefined, { signal });
    printFact(`kill -9 of the ${name}, ${moment.delayMs} ms after ${moment.count} ${after}`);
    await victim.kill();
  }
}

/** Does several things at once. When one fails, the others end too, before this rejects with its error. */
async function together<const T extends readonly Promise<unknown>[]>(
  begin: (signal: AbortSignal) => T,
): Promise<{ -readonly [Index in keyof T]: Awaited<T[Index]> }> {
  const ending = new AbortController();
  const all = begin(ending.signal);
  for (const one of all) one.catch((error: unknown) => ending.abort(error));
  await Promise.allSettled(all);
  ending.signal.throwIfAborted();
  return Promise.all(all);
}

/** Resolves when so many events, and all that is in the stream, are handled, or when nothing happens any more. */
async function untilBooked(stream: EventStream, events: number): Promise<void> {
  let before = '';
  let quietSince = performance.now();
  for (;;) {
    const distinct = new Set((await stream.entries()).map(({ eventId }) => eventId)).size;
    const state = await stream.state();
    if (distinct >= events && state.isConsumed) return;
    const now = JSON.stringify(state);
    if (now !== before) quietSince = performance.now();
    else if (performance.now() - quietSince > quietMs) return;
    before = now;
    await pause(50);
  }
}
