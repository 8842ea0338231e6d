/** GraphQL mutations that are safe to retry. */

export { createIdempotency } from './idempotency/create-idempotency.ts';
export type { Idempotency } from './idempotency/idempotency.ts';
export type { IdempotencyOptions, KeyFormat, RequestKeys } from './config/options.ts';
export type { AbandonedRecord, AbandonedStep, Recovery, RecoverAttempt } from './config/recovery.ts';
export type { SettingOptions } from './config/settings.ts';
export type { RunnerTransaction, TransactionRunner } from './config/transaction-runner.ts';
export type { Logger } from './config/logger.ts';
export { typeDefs } from './directive/type-defs.ts';
export { errorTable } from './errors/codes.ts';
export type { ErrorCode, ErrorEntry } from './errors/codes.ts';
export { ConfigurationError } from './errors/configuration-error.ts';
export { FinalError } from './errors/final-error.ts';
export { NotExecutedError } from './errors/not-executed-error.ts';
export { IdempotencyError } from './errors/idempotency-error.ts';
export type { IdempotencyErrorExtensions } from './errors/idempotency-error.ts';
export type { CurrentAttempt } from './guard/current.ts';
export type { GuardAnswer, GuardCall } from './guard/direct/guard-call.ts';
export type { RecoveryRound } from './guard/lease/recoverer.ts';
export type { Step, StepCall, StepOptions, StepTransactionCall } from './guard/lease/step.ts';
export type {
  DeadMessage,
  DeadMessageChoice,
  DeadMessageQuery,
  RedriveTotals,
  RedrivenMessage,
} from './inbox/dead-messages.ts';
export type { Inbox } from './inbox/inbox.ts';
export type { InboxMessage, LeaseHandler, TransactionHandler } from './inbox/inbox-message.ts';
export type { InboxAnswer } from './inbox/process-message.ts';
export type { EventToAdd } from './outbox/event.ts';
export type { Outbox } from './outbox/outbox.ts';
export type { DeadLetter, DeadLetterChoice, DeadLetterQuery } from './outbox/dead-letters.ts';
export type { OutboxEvent, PublishFunction, PublishOutcome, Publisher } from './outbox/publisher.ts';
export type { Relay, RelayTotals } from './outbox/relay.ts';
export type { RelayOptions } from './outbox/relay-options.ts';
export { embeddedPool } from './store/embedded/embedded-pool.ts';
export type { EmbeddedPoolOptions } from './store/embedded/embedded-pool.ts';
export type { OutboxCounts } from './store/outbox-port.ts';
export type { Transaction, TransactionResult, TransactionStatement } from './store/port.ts';
export type { MigrationResult } from './store/postgres/migrator.ts';
export type {
  IdempotencyMessage,
  InboxFailure,
  LeaseEvent,
  PostgresEvent,
  RedisEvent,
  RelayMessage,
} from './telemetry/channels.ts';
