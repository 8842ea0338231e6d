/** The client's half: keys, and retries that are safe. Needs no GraphQL client; browsers and Node. */

export { idempotentFetch } from './fetch/idempotent-fetch.ts';
export type { IdempotentFetch, IdempotentFetchOptions } from './fetch/idempotent-fetch.ts';
export type { FetchInit, GraphQLBody } from './fetch/graphql-request.ts';
export type { OperationType } from './fetch/operation-type.ts';
export { createIntents } from './intents/intents.ts';
export type { Intent, Intents, IntentsOptions, Resumed } from './intents/intents.ts';
export type { IntentStorage, WebStorage } from './intents/storage.ts';
export { newKey } from './engine/new-key.ts';
export { OutcomeUnknownError } from './engine/outcome-unknown-error.ts';
export type { StopReason } from './engine/outcome-unknown-error.ts';
export { RetryBudget, sharedRetryBudget } from './engine/retry-budget.ts';
export type { RetryBudgetOptions } from './engine/retry-budget.ts';
export { RetryBudgetExhaustedError } from './engine/retry-budget-exhausted-error.ts';
export type { Retry, RetryOptions } from './engine/retry-options.ts';
