/** Sends payments through a lost answer, a double click, a kill -9 and a dead Redis, and counts the charges. */

import { randomBytes } from 'node:crypto';
import { charge } from './demo/client.ts';
import type { Answer, Charge } from './demo/client.ts';
import { Ledger } from './demo/ledger.ts';
import type { Outcome, Totals } from './demo/ledger.ts';
import { lossyNetwork } from './demo/lossy-network.ts';
import { logOfServers } from './demo/processes.ts';
import { setStage } from './demo/stage.ts';
import { printHead, printLine, printStep } from './demo/table.ts';

// Users of their own, so that the demo tells its payments from those that a database may hold already.
const run = randomBytes(3).toString('hex');
const alice = `alice-${run}`;
const bob = `bob-${run}`;

const ledger = new Ledger();
let steps = 0;
let surprises = 0;

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
  let server = await stage.startServer('demo/pausing-server.ts');
  printLine(`Payments over HTTP, ${stage.scenery}. A key is charged once, whatever happens.`, 'bold');
  printLine();
  printHead();

  const abc: Charge = { user: alice, key: 'abc123', amountCents: 1000 };
  const xyz: Charge = { user: alice, key: 'xyz789', amountCents: 2500 };
  await step('a new key', abc, 'executed');
  await step('the same again', abc, 'replayed');
  await step('another key', xyz, 'executed');
  await step('the same again', xyz, 'replayed');
  await step('the first key once more', abc, 'replayed');

  printScene('The network loses the answer');
  const lost: Charge = { user: alice, key: 'lost', amountCents: 700 };
  const network = await lossyNetwork(server.url);
  await step('cut off after the commit', lost, 'no answer', network.url);
  network.close();
  await step('sent again', lost, 'replayed');

  printScene('A double click: two copies at once');
  const twice: Charge = { user: alice, key: 'twice', amountCents: 1200, reference: 'pause' };
  const firstCopy = await inTheMiddle(twice);
  await step('the second copy, while the first is executing', twice, 'IDEMPOTENCY_IN_PROGRESS');
  server.goOn();
  show('the first copy', twice, await firstCopy.answer, 'executed');
  await step('the second copy, sent again', twice, 'replayed');

  printScene('A mistake, and somebody else');
  await step('the first key with another amount', { ...abc, amountCents: 9900 }, 'IDEMPOTENCY_KEY_REUSED');
  await step("another user's payment with the same key", { ...abc, user: bob }, 'executed');

  printScene('kill -9 of the server in the middle of a charge');
  const killed: Charge = { user: alice, key: 'killed', amountCents: 3100, reference: 'pause' };
  const interrupted = await inTheMiddle(killed);
  await server.kill();
  show('its row was written, not committed', killed, await interrupted.answer, 'no answer');
  server = await stage.startServer('server.ts');
  await step('sent again, when the server is back', killed, 'executed');
  await step('and again', killed, 'replayed');

  if (stage.redis !== undefined) {
    printScene('Redis is killed');
    await stage.redis.kill();
    const late: Charge = { user: alice, key: 'late', amountCents: 450 };
    await step('the first key, without Redis', abc, 'replayed');
    await step('a new key, without Redis', late, 'executed');
    await step('the same again', late, 'replayed');
  } else {
    printScene(`Redis is not killed: ${stage.noRedis}`);
  }

  return report(await ledger.found(server.url));

  async function step(name: string, payment: Charge, expected: Outcome, url = server.url): Promise<void> {
    show(name, payment, await charge(url, payment), expected);
  }

  /** Sends a charge, and resolves when the server has written its row and not committed it. */
  async function inTheMiddle(payment: Charge): Promise<{ readonly answer: Promise<Answer> }> {
    const paused = server.paused();
    const answer = charge(server.url, payment);
    await Promise.race([paused, answer]);
    return { answer };
  }
}

function show(name: string, payment: Charge, answer: Answer, expected: Outcome): void {
  const surprise = ledger.enter(payment, answer, expected);
  if (surprise !== undefined) surprises += 1;
  steps += 1;
  printStep(steps, name, payment.key, answer, surprise);
}

function printScene(title: string): void {
  printLine(`     ${title}`, 'bold');
}

function report(found: Totals & { readonly strangers: number }): boolean {
  const { expected, sent } = ledger;
  const equal = found.charges === expected.charges && found.cents === expected.cents && found.strangers === 0;
  const good = equal && surprises === 0;
  printLine();
  printLine(`requests sent     ${count(sent)}`);
  printLine(
    `charges expected  ${count(expected.charges)}   ${euros(expected)}, one for each key of each user`,
  );
  printLine(`charges found     ${count(found.charges)}   ${euros(found)}, in the table`);
  printLine();
  if (!equal) printLine('What was found is not what was expected.', 'red');
  if (surprises > 0) printLine(`${surprises} answers were not the expected ones.`, 'red');
  if (good) printLine('Nobody was charged twice, and no charge was lost.', 'green');
  return good;
}

function count(number: number): string {
  return String(number).padStart(3);
}

function euros({ cents }: Totals): string {
  return `EUR ${(cents / 100).toFixed(2)}`;
}
