/** The demo's own payment provider, which does as it is told. */

import { startProvider } from '../start-provider.ts';
import type { Behaviour, PaidPayout, ProviderLog } from '../provider.ts';

export interface DemoProvider {
  readonly url: string;
  /** Says how the next request to pay is answered. What hangs is answered now. */
  behave(behaviour: Behaviour): Promise<void>;
  /** What its log holds. */
  payouts(): Promise<readonly PaidPayout[]>;
  stop(): void;
}

export async function startDemoProvider(log: string): Promise<DemoProvider> {
  const provider = await startProvider(log);
  const { url } = provider;
  return {
    ...provider,
    behave: async (behaviour) => {
      await fetch(new URL('behaviour', url), { method: 'PUT', body: JSON.stringify(behaviour) });
    },
    payouts: async () => {
      const response = await fetch(new URL('payouts', url));
      return ((await response.json()) as ProviderLog).payouts;
    },
  };
}
