/** Scenes of payouts, whose effect is another company's: a lease, steps, and keys that the provider honours. */

import { setTimeout as pause } from 'node:timers/promises';
import { payout } from '../client.ts';
import type { PayoutRequest } from '../client.ts';
import type { Play } from '../play.ts';

const account = 'DE02120300000000202051';

export async function killedBetweenSteps(play: Play): Promise<void> {
  play.scene('kill -9 of the server between the two steps of a payout');
  const killed: PayoutRequest = { user: play.alice, key: 'steps', amountCents: 4200, account };
  const interrupted = await play.inTheMiddle((url) => payout(url, killed));
  await play.server.kill();
  play.showPayout('it was paid, not booked', killed, await interrupted.answer, 'no answer');
  await play.startServer('server.ts');
  await play.payoutUntilAnswered('sent again: booked, when the lease is over', killed, 'executed');
  await play.payout('and again', killed, 'replayed');
}

export async function paidAndFailed(play: Play): Promise<void> {
  play.scene('The provider pays, and answers 500');
  const failed: PayoutRequest = { user: play.alice, key: 'failed', amountCents: 1700, account };
  await play.stage.provider.behave({ mode: 'fail' });
  await play.payout('nobody can say whether it was paid', failed, 'IDEMPOTENCY_OUTCOME_UNKNOWN');
  await play.payout('sent again, to the provider with the same key', failed, 'executed');
  await play.payout('and again', failed, 'replayed');
}

export async function hangsLongerThanTheLease(play: Play): Promise<void> {
  const { provider, leaseMs } = play.stage;
  play.scene(`The provider hangs for longer than the lease of ${leaseMs / 1000} s`);
  const hanging: PayoutRequest = { user: play.alice, key: 'hanging', amountCents: 2300, account };
  await provider.behave({ mode: 'hang' });
  const answer = payout(play.server.url, hanging);
  await pause(leaseMs * 1.3);
  await play.payout('a copy, with the lease renewed', hanging, 'IDEMPOTENCY_IN_PROGRESS');
  await provider.behave({ mode: 'normal' });
  play.showPayout('the provider answers at last', hanging, await answer, 'executed');
  await play.payout('the copy, sent again', hanging, 'replayed');
}
