/** For Apollo Client: the link that makes keys, the link that retries, and what goes with them. */

export type { IdempotencyContext } from './context.ts';
export { idempotencyLink } from './idempotency-link.ts';
export type { IdempotencyLinkOptions } from './idempotency-link.ts';
export { isOutcomeUnknown } from './judge-apollo.ts';
export { resumeIntents } from './resume-intents.ts';
export { retryLink } from './retry-link.ts';
