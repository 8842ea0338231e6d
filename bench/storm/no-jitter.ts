/** Retries as they are written by hand: exponential backoff, and no key. The figures are the engine's own. */

import type { Answer } from './server.ts';
import type { Strategy } from './strategy.ts';

const ATTEMPTS = 8;
const BASE_DELAY_MS = 200;
const MAX_DELAY_MS = 20_000;

export const noJitter: Strategy = {
  name: 'no jitter',
  hasBudget: false,
  createClient: (server) => ({
    async begin(intent) {
      for (let attempt = 1; ; attempt += 1) {
        const answer = await new Promise<Answer>((resolve) => {
          server.receive({ intent, key: undefined }, resolve);
        });
        if (answer === 'done') return true;
        if (attempt >= ATTEMPTS) return false;
        const delayMs = Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** (attempt - 1));
        await new Promise<void>((resolve) => {
          setTimeout(resolve, delayMs);
        });
      }
    },
  }),
};
