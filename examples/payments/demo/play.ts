/** The demo while it runs: the server of the moment, what was sent so far, and a line for every answer. */

import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { charge, payout } from './client.ts';
import type { Answer, Charge, PayoutRequest } from './client.ts';
import type { EventCounts } from './event-counts.ts';
import { Ledger } from './ledger.ts';
import type { Outcome, Sent } from './ledger.ts';
import type { RunningServer } from './processes.ts';
import type { Stage } from './stage.ts';
import { printLine, printRepetition, printStep } from './table.ts';

export type ServerFile = 'server.ts' | 'demo/pausing-server.ts' | 'demo/pausing-payouts.ts';

/** How often something that is in progress is sent again before the demo gives up. */
const maxRepetitions = 30;

export class Play {
  readonly stage: Stage;
  readonly charges = new Ledger();
  readonly payouts = new Ledger();
  readonly alice: string;
  readonly bob: string;
  /** What became of the events, once that is known. */
  events: EventCounts | undefined;
  surprises = 0;
  server: RunningServer;
  #steps = 0;

  constructor(stage: Stage, server: RunningServer) {
    this.stage = stage;
    this.server = server;
    // Users of their own, so that the demo tells its payments from those that a database may hold already.
    const run = randomBytes(3).toString('hex');
    this.alice = `alice-${run}`;
    this.bob = `bob-${run}`;
  }

  scene(title: string): void {
    printLine(`     ${title}`, 'bold');
  }

  async startServer(file: ServerFile): Promise<void> {
    this.server = await this.stage.startServer(file);
  }

  async charge(name: string, sent: Charge, expected: Outcome, url = this.server.url): Promise<void> {
    this.showCharge(name, sent, await charge(url, sent), expected);
  }

  showCharge(name: string, sent: Charge, answer: Answer, expected: Outcome): void {
    this.#show(this.charges, name, sent, answer, expected);
  }

  async payout(name: string, sent: PayoutRequest, expected: Outcome): Promise<void> {
    this.showPayout(name, sent, await payout(this.server.url, sent), expected);
  }

  showPayout(name: string, sent: PayoutRequest, answer: Answer, expected: Outcome): void {
    this.#show(this.payouts, name, sent, answer, expected);
  }

  /** Sends a payout as clients do: while it is in progress, again, after the time that the answer names. */
  async payoutUntilAnswered(name: string, sent: PayoutRequest, expected: Outcome): Promise<void> {
    let answer = await payout(this.server.url, sent);
    for (let left = maxRepetitions; left > 0 && answer.outcome === 'IDEMPOTENCY_IN_PROGRESS'; left -= 1) {
      this.payouts.sent += 1;
      printRepetition(sent.key, answer);
      await pause(answer.retryAfterMs ?? 1000);
      answer = await payout(this.server.url, sent);
    }
    this.showPayout(name, sent, answer, expected);
  }

  /** Sends something, and resolves when the server has stopped in the middle of it. */
  async inTheMiddle(send: (url: string) => Promise<Answer>): Promise<{ readonly answer: Promise<Answer> }> {
    const paused = this.server.paused();
    const answer = send(this.server.url);
    await Promise.race([paused, answer]);
    return { answer };
  }

  #show(ledger: Ledger, name: string, sent: Sent, answer: Answer, expected: Outcome): void {
    const surprise = ledger.enter(sent, answer, expected);
    if (surprise !== undefined) this.surprises += 1;
    this.#steps += 1;
    printStep(this.#steps, name, sent.key, answer, surprise);
  }
}
