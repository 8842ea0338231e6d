/** For React: the hook that makes a mutation one intent, over Apollo Client's `useMutation`. */

export type { MutationStatus } from './mutation-status.ts';
export { useIdempotentMutation } from './use-idempotent-mutation.ts';
export type {
  IdempotentMutationOptions,
  IdempotentMutationResult,
  IdempotentMutationTuple,
} from './use-idempotent-mutation.ts';
