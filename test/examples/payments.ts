/** The payments example in processes of its own, and a client that says what it was answered. */

import { setTimeout as pause } from 'node:timers/promises';
import { startChild } from '../support/child.ts';
import type { Child, ChildOptions } from '../support/child.ts';

export interface Payments {
  readonly url: string;
  readonly child: Child;
}

export interface Response {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly data?: Record<string, unknown> | null;
    readonly errors?: readonly {
      readonly message: string;
      readonly extensions: Record<string, unknown>;
    }[];
    readonly extensions?: { readonly idempotency?: Readonly<Record<string, { readonly outcome: string }>> };
  };
}

export interface ChargeRequest {
  readonly user?: string;
  readonly key?: string;
  readonly amountCents?: number;
  readonly reference?: string;
}

export interface PayoutRequest {
  readonly user?: string;
  readonly key?: string;
  readonly amountCents?: number;
  readonly account?: string;
}

/** Takes from the environment what this machine, or the test run, may have set. */
export const cleanEnvironment: Record<string, string | undefined> = {
  NODE_ENV: undefined,
  PORT: undefined,
  DATABASE_URL: undefined,
  IDEMPOTENCY_DATABASE_URL: undefined,
  IDEMPOTENCY_EMBEDDED_FOLDER: undefined,
  REDIS_URL: undefined,
  IDEMPOTENCY_REDIS_URL: undefined,
  PROVIDER_URL: undefined,
  PROVIDER_LOG: undefined,
  BROKER_URL: undefined,
  BOOKKEEPER_FOLDER: undefined,
  BOOKKEEPER_PORT: undefined,
  DEMO_SEED: undefined,
};

/** Starts the server and waits until it accepts requests. */
export async function startPayments({
  file = 'server.ts',
  env = {},
  until = 'test',
}: Partial<Pick<ChildOptions, 'env' | 'until'>> & { readonly file?: string } = {}): Promise<Payments> {
  const child = startChild({
    file: `examples/payments/${file}`,
    env: { ...cleanEnvironment, PORT: '0', ...env },
    until,
  });
  const ready = await child.line(/^ready /, { timeoutMs: 100_000 });
  return { url: ready.slice('ready '.length), child };
}

export async function charge(url: string, request: ChargeRequest): Promise<Response> {
  const { user = 'alice', key, amountCents = 500, reference = null } = request;
  return send(url, {
    user,
    ...(key === undefined ? {} : { key }),
    query:
      'mutation ($input: ChargeInput!) { charge(input: $input) { id amountCents currency reference createdAt } }',
    variables: { input: { amountCents, currency: 'EUR', reference } },
  });
}

export async function payout(url: string, request: PayoutRequest): Promise<Response> {
  const { user = 'alice', key, amountCents = 500, account = 'DE02120300000000202051' } = request;
  return send(url, {
    user,
    ...(key === undefined ? {} : { key }),
    query:
      'mutation ($input: PayoutInput!) { payout(input: $input) { id amountCents account providerId createdAt } }',
    variables: { input: { amountCents, account } },
  });
}

/** Pays out as clients do: while it is in progress, again, after the time that the answer names. */
export async function payoutUntilAnswered(url: string, request: PayoutRequest): Promise<Response> {
  for (let left = 30; ; left -= 1) {
    const answer = await payout(url, request);
    if (left === 0 || outcomeOf(answer) !== 'IDEMPOTENCY_IN_PROGRESS') return answer;
    await pause(Number(answer.body.errors![0]!.extensions['retryAfterMs']));
  }
}

export async function send(
  url: string,
  { user, key, ...body }: { user?: string; key?: string; query: string; variables?: object },
): Promise<Response> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(user === undefined ? {} : { authorization: `Bearer ${user}` }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    },
    body: JSON.stringify(body),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Response['body'],
  };
}

export function outcomeOf({ body }: Response): unknown {
  const [fact] = Object.values(body.extensions?.idempotency ?? {});
  return fact?.outcome ?? body.errors?.[0]?.extensions['code'];
}
