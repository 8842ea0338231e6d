/** What joined pools find in an attempt whose transaction is a library's: that they cannot join it. */

import type { Joinable } from '../ambient/joinable.ts';
import { refusal } from '../statement-queue.ts';

const MESSAGE =
  'A joined pool cannot join a transaction that the option `transaction` has begun. Write through idempotency.current(info).client, or call idempotency.outside(…) for what is to commit by itself.';

/**
 * Makes what refuses every statement. Were they let through, they would commit by themselves, and stay where the
 * attempt is rolled back.
 */
export function refusedJoin(): Joinable {
  return {
    ownedByLibrary: true,
    over: false,
    isOpen: () => false,
    run: () => refusal(new Error(MESSAGE)),
    release() {},
  };
}
