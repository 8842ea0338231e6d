/** A claim on a batch of events: renewed while the batch is being published, and known to be over when it may be. */

import type { OutboxStore, StoredEvent } from '../store/outbox-port.ts';

export interface HeldClaim {
  readonly token: string;
  /** Whether nobody else can have taken the event, as far as is known. */
  isHeld(event: StoredEvent): boolean;
  /** By `performance.now()`: until then nobody can have. */
  readonly aliveUntilMs: number;
  stop(): void;
}

export interface HeldClaimContext {
  readonly store: Pick<OutboxStore, 'renewEvents'>;
  readonly token: string;
  readonly events: readonly StoredEvent[];
  readonly leaseMs: number;
  /** By `performance.now()`, when the claim was asked for. */
  readonly askedMs: number;
  readonly onError: (error: unknown) => void;
}

/**
 * Renews at every third of the lease: one renewal that gets no answer loses nothing. All of them until the end, those
 * that are published as well: until the outbox has heard of it, another relay would publish them again.
 */
export function holdClaim({ store, token, events, leaseMs, askedMs, onError }: HeldClaimContext): HeldClaim {
  const positions = events.map(({ position }) => position);
  const lost = new Set<string>();
  let aliveUntilMs = askedMs + leaseMs;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function renew(): Promise<void> {
    const renewedAtMs = performance.now();
    try {
      const held = await store.renewEvents(token, positions, leaseMs);
      aliveUntilMs = renewedAtMs + leaseMs;
      for (const position of positions) if (!held.has(position)) lost.add(position);
    } catch (error) {
      if (!stopped) onError(error);
    }
  }

  function schedule(): void {
    if (stopped) return;
    timer = setTimeout(() => void renew().then(schedule), Math.floor(leaseMs / 3));
  }

  schedule();
  return {
    token,
    get aliveUntilMs() {
      return aliveUntilMs;
    },
    isHeld: ({ position }) => !lost.has(position) && performance.now() < aliveUntilMs,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
