/**
 * Sends payments through a lost answer, a double click, a kill -9 and a dead Redis, payouts through a provider's
 * faults, and events through kills of those who publish and book them, and counts what came of it.
 */

import { Play } from './demo/play.ts';
import { logOfServers } from './demo/processes.ts';
import { report } from './demo/report.ts';
import {
  answerLost,
  doubleClick,
  killedInACharge,
  mistakes,
  redisKilled,
  sentAgain,
} from './demo/scenes/charges.ts';
import { publisherAndBookkeeperKilled } from './demo/scenes/events.ts';
import { hangsLongerThanTheLease, killedBetweenSteps, paidAndFailed } from './demo/scenes/payouts.ts';
import { setStage } from './demo/stage.ts';
import { printHead, printLine } from './demo/table.ts';

const stage = await setStage();
try {
  process.exitCode = (await demonstrate()) ? 0 : 1;
} catch (error) {
  process.exitCode = 1;
  if (!stage.interrupted) console.error(error);
} finally {
  await stage.clear();
}
if (process.exitCode !== 0 && !stage.interrupted)
  console.error(`The servers' log begins:\n${logOfServers().slice(0, 2000)}`);

async function demonstrate(): Promise<boolean> {
  printLine('Starting the payments server ...', 'dim');
  const play = new Play(stage, await stage.startServer('demo/pausing-server.ts'));
  printLine(
    `Payments over HTTP, ${stage.scenery}. A key is charged or paid out once, whatever happens.`,
    'bold',
  );
  printLine();
  printHead();

  await sentAgain(play);
  await answerLost(play);
  await doubleClick(play);
  await mistakes(play);
  await killedInACharge(play);
  await killedBetweenSteps(play);
  await paidAndFailed(play);
  await hangsLongerThanTheLease(play);
  await redisKilled(play);
  await publisherAndBookkeeperKilled(play);
  return report(play);
}
