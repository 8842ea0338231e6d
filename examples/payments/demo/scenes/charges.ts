/** Scenes of charges, which commit together with their record. */

import { charge } from '../client.ts';
import type { Charge } from '../client.ts';
import { lossyNetwork } from '../lossy-network.ts';
import type { Play } from '../play.ts';

export async function sentAgain(play: Play): Promise<void> {
  const abc = firstCharge(play);
  const xyz: Charge = { user: play.alice, key: 'xyz789', amountCents: 2500 };
  await play.charge('a new key', abc, 'executed');
  await play.charge('the same again', abc, 'replayed');
  await play.charge('another key', xyz, 'executed');
  await play.charge('the same again', xyz, 'replayed');
  await play.charge('the first key once more', abc, 'replayed');
}

export async function answerLost(play: Play): Promise<void> {
  play.scene('The network loses the answer');
  const lost: Charge = { user: play.alice, key: 'lost', amountCents: 700 };
  const network = await lossyNetwork(play.server.url);
  await play.charge('cut off after the commit', lost, 'no answer', network.url);
  network.close();
  await play.charge('sent again', lost, 'replayed');
}

export async function doubleClick(play: Play): Promise<void> {
  play.scene('A double click: two copies at once');
  const twice: Charge = { user: play.alice, key: 'twice', amountCents: 1200, reference: 'pause' };
  const firstCopy = await play.inTheMiddle((url) => charge(url, twice));
  await play.charge('the second copy, while the first is executing', twice, 'IDEMPOTENCY_IN_PROGRESS');
  play.server.goOn();
  play.showCharge('the first copy', twice, await firstCopy.answer, 'executed');
  await play.charge('the second copy, sent again', twice, 'replayed');
}

export async function mistakes(play: Play): Promise<void> {
  play.scene('A mistake, and somebody else');
  const abc = firstCharge(play);
  await play.charge(
    'the first key with another amount',
    { ...abc, amountCents: 9900 },
    'IDEMPOTENCY_KEY_REUSED',
  );
  await play.charge("another user's payment with the same key", { ...abc, user: play.bob }, 'executed');
}

export async function killedInACharge(play: Play): Promise<void> {
  play.scene('kill -9 of the server in the middle of a charge');
  const killed: Charge = { user: play.alice, key: 'killed', amountCents: 3100, reference: 'pause' };
  const interrupted = await play.inTheMiddle((url) => charge(url, killed));
  await play.server.kill();
  play.showCharge('its row was written, not committed', killed, await interrupted.answer, 'no answer');
  await play.startServer('demo/pausing-payouts.ts');
  await play.charge('sent again, when the server is back', killed, 'executed');
  await play.charge('and again', killed, 'replayed');
}

export async function redisKilled(play: Play): Promise<void> {
  const { redis, noRedis } = play.stage;
  if (redis === undefined) {
    play.scene(`Redis is not killed: ${noRedis}`);
    return;
  }
  play.scene('Redis is killed');
  await redis.kill();
  const late: Charge = { user: play.alice, key: 'late', amountCents: 450 };
  await play.charge('the first key, without Redis', firstCharge(play), 'replayed');
  await play.charge('a new key, without Redis', late, 'executed');
  await play.charge('the same again', late, 'replayed');
}

function firstCharge({ alice }: Play): Charge {
  return { user: alice, key: 'abc123', amountCents: 1000 };
}
