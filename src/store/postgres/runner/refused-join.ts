/** What joined pools find in an attempt whose transaction is a library's: that they cannot join it. */

import { JoinedTransaction } from '../ambient/joined-transaction.ts';
import { refusal } from '../statement-queue.ts';
import type { Result, StatementQueue } from '../statement-queue.ts';

const MESSAGE =
  'A joined pool cannot join a transaction that the option `transaction` has begun. Write through idempotency.current(info).client, or call idempotency.outside(…) for what is to commit by itself.';

/**
 * Refuses every statement. Were they let through, they would commit by themselves, and stay where the attempt is
 * rolled back.
 */
export class RefusedJoin extends JoinedTransaction {
  constructor() {
    // Nothing is ever queued.
    super({} as StatementQueue);
  }

  override get over(): boolean {
    return false;
  }

  override isOpen(): boolean {
    return false;
  }

  override run(): Promise<Result> {
    return refusal(new Error(MESSAGE));
  }

  override statement(): Promise<Result> {
    return this.run();
  }

  override release(): void {}
}
