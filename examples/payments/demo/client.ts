/** A client of the payments API, which tells an answer from none. */

import type { ChargeArguments, PayoutArguments } from '../resolvers.ts';

export interface Charge {
  readonly user: string;
  readonly key: string;
  readonly amountCents: number;
  readonly reference?: string;
}

export interface PayoutRequest {
  readonly user: string;
  readonly key: string;
  readonly amountCents: number;
  readonly account: string;
}

/** What a mutation was answered, if it was. */
export interface Answer {
  readonly status: number | undefined;
  /** `executed` or `replayed`, the code of a refusal, or `no answer`. */
  readonly outcome: string;
  /** Of the payment or the payout. */
  readonly id: string | undefined;
  readonly tookMs: number;
  /** When to send it again, if the answer says that. */
  readonly retryAfterMs: number | undefined;
}

export interface Account {
  readonly payments: readonly { readonly id: string }[];
  readonly balance: number;
  readonly payouts: readonly {
    readonly id: string;
    readonly amountCents: number;
    readonly providerId: string;
  }[];
}

interface Response<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions: { readonly code: string; readonly retryAfterMs?: number };
  }[];
  readonly extensions?: { readonly idempotency?: Readonly<Record<string, { readonly outcome: string }>> };
}

interface Mutation {
  readonly user: string;
  readonly key: string;
  readonly query: string;
  readonly variables: object;
}

const answerTimeoutMs = 30_000;

export async function charge(url: string, { user, key, ...payment }: Charge): Promise<Answer> {
  const input: ChargeArguments['input'] = { ...payment, currency: 'EUR' };
  const query = 'mutation ($input: ChargeInput!) { result: charge(input: $input) { id } }';
  return mutate(url, { user, key, query, variables: { input } });
}

export async function payout(
  url: string,
  { user, key, amountCents, account }: PayoutRequest,
): Promise<Answer> {
  const input: PayoutArguments['input'] = { amountCents, account };
  const query = 'mutation ($input: PayoutInput!) { result: payout(input: $input) { id } }';
  return mutate(url, { user, key, query, variables: { input } });
}

/** Asks for what is in the tables. */
export async function accountOf(url: string, user: string): Promise<Account> {
  const query = '{ payments { id } balance payouts { id amountCents providerId } }';
  const { body } = await send<Account>(url, { user, query });
  if (body.data == null) throw new Error(`The account could not be read: ${JSON.stringify(body.errors)}`);
  return body.data;
}

async function mutate(url: string, mutation: Mutation): Promise<Answer> {
  const sent = performance.now();
  const answer = await send<{ readonly result: { readonly id: string } }>(url, mutation).catch(
    (error: unknown) => {
      // What fetch throws when the connection breaks. Anything else is no fault that the demo has arranged.
      if (error instanceof TypeError) return undefined;
      throw error;
    },
  );
  return {
    status: answer?.status,
    outcome: answer === undefined ? 'no answer' : outcomeOf(answer.body),
    id: answer?.body.data?.result.id,
    tookMs: performance.now() - sent,
    retryAfterMs: answer?.body.errors?.[0]?.extensions.retryAfterMs,
  };
}

function outcomeOf({ extensions, errors }: Response<unknown>): string {
  return extensions?.idempotency?.['result']?.outcome ?? errors?.[0]?.extensions.code ?? 'no outcome';
}

async function send<Data>(
  url: string,
  { user, key, ...body }: { user: string; key?: string; query: string; variables?: object },
): Promise<{ readonly status: number; readonly body: Response<Data> }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${user}`,
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(answerTimeoutMs),
  });
  return { status: response.status, body: (await response.json()) as Response<Data> };
}
