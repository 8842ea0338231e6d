/** A client with the links, over a wire, and the mutation that everything here is about. */

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import type { TypedDocumentNode } from '@apollo/client';
import { idempotencyLink, retryLink } from 'graphql-idempotency/client/apollo';
import type { IdempotencyLinkOptions } from 'graphql-idempotency/client/apollo';
import type { RetryOptions } from 'graphql-idempotency/client';
import { useIdempotentMutation } from 'graphql-idempotency/client/react';
import { act } from 'react';
import { renderHook } from './render.ts';
import type { Rendered } from './render.ts';

export interface Paid {
  readonly pay: { readonly id: string; readonly amount: number } | null;
}

export const PAY: TypedDocumentNode<Paid, { amount: number }> = gql`
  mutation Pay($amount: Int!) {
    pay(amount: $amount) {
      id
      amount
    }
  }
`;

export interface Links {
  readonly fetch: typeof globalThis.fetch;
  readonly uri?: string;
  readonly headers?: Record<string, string>;
  /** @defaultValue two attempts, without a wait worth mentioning; `false` for none */
  readonly retries?: RetryOptions | false;
  readonly link?: IdempotencyLinkOptions;
}

export function createClient({
  fetch,
  uri = 'http://shop/',
  headers = {},
  retries,
  link,
}: Links): ApolloClient {
  const retrying =
    retries === false ? [] : [retryLink({ attempts: 2, baseDelayMs: 0, budget: false, ...retries })];
  return new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([idempotencyLink(link), ...retrying, new HttpLink({ uri, headers, fetch })]),
  });
}

/** What the hook is rendered with. */
export type PayOptions = Parameters<typeof useIdempotentMutation<Paid, { amount: number }>>[1];
export type PayHook = Rendered<PayOptions, ReturnType<typeof usePay>>;
export type PayResult = ApolloClient.MutateResult<Paid>;

// oxlint-disable-next-line typescript/explicit-module-boundary-types -- its type is the subject
export const usePay = (options: PayOptions) => useIdempotentMutation(PAY, options);

export function renderPay(
  client: ApolloClient,
  { strict = false, ...props }: NonNullable<PayOptions> & { readonly strict?: boolean } = {},
): Promise<PayHook> {
  return renderHook(client, usePay, { props, strict });
}

/** Calls `mutate`, as a click does. The promise comes in an object, so that nobody awaits it by the way. */
export async function click(
  hook: PayHook,
  options: Parameters<ReturnType<typeof usePay>[0]>[0] = { variables: { amount: 100 } },
): Promise<{ readonly promise: Promise<PayResult> }> {
  let promise!: Promise<PayResult>;
  await act(async () => {
    promise = hook.current()[0](options);
  });
  return { promise };
}

/** Lets something happen, and waits until the call has settled and is rendered. Resolves with its error. */
export async function settled(
  { promise }: { readonly promise: Promise<PayResult> },
  happen: () => void = () => undefined,
): Promise<unknown> {
  let error: unknown;
  await act(async () => {
    happen();
    error = await promise.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  });
  return error;
}
