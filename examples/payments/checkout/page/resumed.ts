/** What the page found begun and not answered when it was loaded, and what became of it. */

import { resumeIntents } from 'graphql-idempotency/client/apollo';
import type { Intent } from 'graphql-idempotency/client';
import type { Connection } from './client.ts';

export interface ResumedIntent {
  readonly intent: Intent;
  /** Whether it is still unknown, now that everything was tried. */
  readonly gaveUp: boolean;
}

export interface Resumption {
  readonly state: () => readonly ResumedIntent[];
  readonly subscribe: (listener: () => void) => () => void;
}

/** Sends again what is open. Resolves when it is known what that is, and not only when it is answered. */
export async function resumeAll({ client, intents }: Connection): Promise<Resumption> {
  const listeners = new Set<() => void>();
  const open = await intents.open();
  let state: readonly ResumedIntent[] = open.map((intent) => ({ intent, gaveUp: false }));

  const resume = async (): Promise<void> => {
    const ended = await resumeIntents(client, intents);
    const unknown = new Set(
      ended.filter(({ kind }) => kind === 'unknown' || kind === 'expired').map(({ intent }) => intent.key),
    );
    state = state.map(({ intent }) => ({ intent, gaveUp: unknown.has(intent.key) }));
    for (const listener of listeners) listener();
  };
  if (open.length > 0) void resume();

  return {
    state: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
