/** A client of the payments API, which tells an answer from none. */

import type { ChargeArguments } from '../resolvers.ts';

export interface Charge {
  readonly user: string;
  readonly key: string;
  readonly amountCents: number;
  readonly reference?: string;
}

/** What a charge was answered, if it was. */
export interface Answer {
  readonly status: number | undefined;
  /** `executed` or `replayed`, the code of a refusal, or `no answer`. */
  readonly outcome: string;
  readonly paymentId: string | undefined;
  readonly tookMs: number;
}

export interface Account {
  readonly payments: readonly { readonly id: string }[];
  readonly balance: number;
}

interface Response<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[];
  readonly extensions?: { readonly idempotency?: Readonly<Record<string, { readonly outcome: string }>> };
}

const answerTimeoutMs = 30_000;

export async function charge(url: string, { user, key, ...payment }: Charge): Promise<Answer> {
  const input: ChargeArguments['input'] = { ...payment, currency: 'EUR' };
  const sent = performance.now();
  const answer = await send<{ charge: { id: string } }>(url, {
    user,
    key,
    query: 'mutation ($input: ChargeInput!) { charge(input: $input) { id } }',
    variables: { input },
  }).catch((error: unknown) => {
    // What fetch throws when the connection breaks. Anything else is no fault that the demo has arranged.
    if (error instanceof TypeError) return undefined;
    throw error;
  });
  return {
    status: answer?.status,
    outcome: answer === undefined ? 'no answer' : outcomeOf(answer.body),
    paymentId: answer?.body.data?.charge.id,
    tookMs: performance.now() - sent,
  };
}

/** Asks for what is in the table. */
export async function accountOf(url: string, user: string): Promise<Account> {
  const { body } = await send<Account>(url, { user, query: '{ payments { id } balance }' });
  if (body.data == null) throw new Error(`The account could not be read: ${JSON.stringify(body.errors)}`);
  return body.data;
}

function outcomeOf({ extensions, errors }: Response<unknown>): string {
  return extensions?.idempotency?.['charge']?.outcome ?? errors?.[0]?.extensions.code ?? 'no outcome';
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
