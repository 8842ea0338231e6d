/** What the compiler knows of the hook: it infers as `useMutation` does. Nothing here is run but a formality. */

import { gql } from '@apollo/client';
import type { ApolloClient, ErrorLike, TypedDocumentNode } from '@apollo/client';
import type { useMutation } from '@apollo/client/react';
import { expect, expectTypeOf, test } from 'vitest';
import { useIdempotentMutation } from 'graphql-idempotency/client/react';
import type { MutationStatus } from 'graphql-idempotency/client/react';

interface Paid {
  readonly pay: { readonly id: string } | null;
}
interface PayVariables {
  amount: number;
  note?: string | null;
}
const text = gql`
  mutation Pay($amount: Int!, $note: String) {
    pay(amount: $amount, note: $note) {
      id
    }
  }
`;
const PAY: TypedDocumentNode<Paid, PayVariables> = text;
const PING: TypedDocumentNode<Paid, Record<string, never>> = text;

/** Never rendered: only its types count. */
export function useAll(): void {
  const [pay, result] = useIdempotentMutation(PAY, {
    intent: 'cart-1',
    newKey: () => 'key',
    onCompleted: (data) => expectTypeOf(data).toEqualTypeOf<Paid>(),
    onError: (error) => expectTypeOf(error).toEqualTypeOf<ErrorLike>(),
  });
  expectTypeOf(result.data).toEqualTypeOf<Paid | null | undefined>();
  expectTypeOf(result.error).toEqualTypeOf<ErrorLike | undefined>();
  expectTypeOf(result.status).toEqualTypeOf<MutationStatus>();
  expectTypeOf(result.key).toEqualTypeOf<string | undefined>();
  expectTypeOf(result.reset).toEqualTypeOf<() => void>();
  expectTypeOf(pay({ variables: { amount: 1 } })).toEqualTypeOf<Promise<ApolloClient.MutateResult<Paid>>>();

  // As with `useMutation`: what a call needs, and what it may leave out.
  // @ts-expect-error -- without its variables
  void pay();
  // @ts-expect-error -- a variable of another type
  void pay({ variables: { amount: '1' } });
  // @ts-expect-error -- a variable that the mutation doesn't have
  void pay({ variables: { amount: 1, sum: 1 } });

  const [configured] = useIdempotentMutation(PAY, { variables: { amount: 1 } });
  void configured();
  void configured({ variables: { note: 'in a hurry' } });
  // @ts-expect-error -- a variable of another type
  void configured({ variables: { amount: '1' } });

  const [partly] = useIdempotentMutation(PAY, { variables: { note: 'for all calls' } });
  // @ts-expect-error -- the other variable is missing
  void partly();
  void partly({ variables: { amount: 1 } });

  // @ts-expect-error -- a variable that the mutation doesn't have
  useIdempotentMutation(PAY, { variables: { sum: 1 } });
  // @ts-expect-error -- an option that doesn't exist
  useIdempotentMutation(PAY, { intents: true });

  const [ping] = useIdempotentMutation(PING);
  void ping();

  const [untyped, anything] = useIdempotentMutation(text);
  void untyped({ variables: { whatever: 1 } });
  expectTypeOf(anything.data).toEqualTypeOf<unknown>();

  const [typed] = useIdempotentMutation<Paid, PayVariables>(text);
  // @ts-expect-error -- without its variables
  void typed();

  // It takes the place of `useMutation` wherever that is expected.
  const likeApollo: ReturnType<typeof useMutation<Paid, PayVariables>> = useIdempotentMutation(PAY);
  void likeApollo;

  // The state narrows.
  const { status } = result;
  // @ts-expect-error -- only where the outcome is unknown
  void status.key;
  if (status.state === 'unknown') expectTypeOf(status.key).toEqualTypeOf<string>();
  if (status.state === 'retrying') expectTypeOf(status.nextTryAt).toEqualTypeOf<number>();
}

test('this file compiles', () => {
  expect(useAll).toBeTypeOf('function');
});
