/** The client's half for urql. */

export { idempotencyExchange } from './idempotency-exchange.ts';
export type { IdempotencyContext } from './idempotency-exchange.ts';
