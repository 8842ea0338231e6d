/** What consumers handle their messages by. */

import type { CurrentAttempt } from '../guard/current.ts';
import type { ReadOptions } from '../guard/direct/read-call.ts';
import { filterOf, listDeadMessages, redriveMessages } from './dead-messages.ts';
import type {
  DeadMessage,
  DeadMessageChoice,
  DeadMessageQuery,
  RedriveTotals,
  RedrivenMessage,
} from './dead-messages.ts';
import { readMessage } from './inbox-message.ts';
import type { InboxMessage, LeaseHandler, TransactionHandler } from './inbox-message.ts';
import { processMessage } from './process-message.ts';
import type { InboxAnswer, ProcessContext } from './process-message.ts';

/**
 * Makes the effect of a message happen once, however often it is delivered. Where Postgres cannot be asked for dead
 * letters, that is an Error with the name `StoreUnavailableError`.
 */
export interface Inbox<TClient = unknown> {
  /**
   * Handles a message once for each consumer. What `run` writes through `tx` commits together with the record that
   * says so; with `mode: 'LEASE'`, `run` gets the attempt, and works by its steps.
   *
   * Resolves when the broker may be told that it is done: after the commit, for a repetition at once, and for a
   * message that has failed too often once it is kept as a dead letter. Rejects when the message has to come again,
   * with what `run` has thrown, or an `IdempotencyError`. A `FinalError` makes it a dead letter at once, and so does
   * another payload under the same id, or one that cannot be compared.
   *
   * @example
   * ```ts
   * await idempotency.inbox.process({ consumer: 'ledger', messageId: message.id, payload: message.body }, (tx) =>
   *   tx.query('insert into ledger (payment_id) values ($1)', [message.body.id]),
   * );
   * ```
   *
   * @throws TypeError naming an option that is wrong: nothing was executed. All errors come as a rejection.
   * @throws ConfigurationError for `mode: 'LEASE'` where the settings contradict each other.
   * @throws IdempotencyError IN_PROGRESS, STORE_UNAVAILABLE, TRANSACTION_ABORTED, LEASE_LOST or OUTCOME_UNKNOWN.
   */
  process(
    message: InboxMessage & { readonly mode?: 'TRANSACTION' | undefined },
    run: TransactionHandler<TClient>,
  ): Promise<InboxAnswer>;
  process(
    message: InboxMessage & { readonly mode: 'LEASE' },
    run: LeaseHandler<TClient>,
  ): Promise<InboxAnswer>;
  /** Lists dead letters, in the order of their first failures: at most `limit`, 100 by default. @throws TypeError */
  deadLetters(query?: DeadMessageQuery): Promise<readonly DeadMessage[]>;
  /**
   * Hands dead letters to the function that handles messages, one after the other: to the one that calls `process`.
   * Those that it did not handle are dead letters still, whatever it returns.
   *
   * @example
   * ```ts
   * await idempotency.inbox.redrive({ consumer: 'ledger' }, handle);
   * ```
   *
   * @throws TypeError
   */
  // The function says what its payloads are, as it does to the broker's consumer.
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  redrive<TMessage extends Pick<RedrivenMessage, 'messageId'> = RedrivenMessage>(
    choice: DeadMessageChoice,
    handle: (message: TMessage) => unknown,
  ): Promise<RedriveTotals>;
  /** Removes dead letters for good, unhandled; returns how many. @throws TypeError */
  discard(choice: DeadMessageChoice): Promise<number>;
}

export interface InboxContext extends ProcessContext, ReadOptions {}

export function createInbox(context: InboxContext): Inbox {
  const { guard, store } = context;

  async function process(
    message: InboxMessage,
    run: LeaseHandler | TransactionHandler,
  ): Promise<InboxAnswer> {
    const read = readMessage(message, run, context);
    const handle =
      read.rule.mode === 'LEASE'
        ? (run as LeaseHandler)
        : (attempt: CurrentAttempt) => (run as TransactionHandler)(attempt.tx, attempt);
    return processMessage(context, read, handle);
  }

  return {
    process: (message: InboxMessage, run: LeaseHandler | TransactionHandler) =>
      guard.track(process(message, run)),
    deadLetters: async (query = {}) => listDeadMessages(store, query),
    redrive: async (choice, handle) =>
      redriveMessages(store, choice, handle as unknown as (message: RedrivenMessage) => unknown),
    discard: async (choice) => store.discard(filterOf(choice)),
  };
}
