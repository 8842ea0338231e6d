/** The example's payment provider in a process of its own, which tests ask, tell and kill. */

import { join } from 'node:path';
import type { Behaviour, PaidPayout, ProviderLog } from '../../examples/payments/provider.ts';
import { startChild } from '../support/child.ts';
import type { Child, ChildOptions } from '../support/child.ts';
import { temporaryFolder } from '../support/janitor.ts';

export interface Provider {
  readonly url: string;
  readonly child: Child;
  /** How it answers the next requests to pay. What hangs is answered now. */
  behave(behaviour: Behaviour): Promise<void>;
  log(): Promise<ProviderLog>;
  pay(key: string, order?: Partial<Order>): Promise<{ readonly status: number; readonly body: PaidPayout }>;
}

interface Order {
  readonly amountCents: number;
  readonly account: string;
}

/** Starts it on a log of its own, or on another's. */
export async function startProvider({
  log,
  until = 'test',
}: { readonly log?: string } & Pick<ChildOptions, 'until'> = {}): Promise<Provider> {
  const file = log ?? (await newLog());
  const child = startChild({
    file: 'examples/payments/provider.ts',
    env: { PROVIDER_LOG: file, PROVIDER_PORT: '0' },
    until,
  });
  const url = (await child.line(/^ready /, { timeoutMs: 60_000 })).slice('ready '.length);
  return {
    url,
    child,
    behave: async (behaviour) => {
      await fetch(new URL('behaviour', url), { method: 'PUT', body: JSON.stringify(behaviour) });
    },
    log: async () => (await (await fetch(new URL('payouts', url))).json()) as ProviderLog,
    pay: async (key, order) => {
      const response = await fetch(new URL('payouts', url), {
        method: 'POST',
        headers: { 'idempotency-key': key },
        body: JSON.stringify({ amountCents: 500, account: 'DE02120300000000202051', ...order }),
      });
      return { status: response.status, body: (await response.json()) as PaidPayout };
    },
  };
}

export async function newLog(): Promise<string> {
  return join(await temporaryFolder('provider'), 'provider.jsonl');
}
