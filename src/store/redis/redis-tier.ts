/** The fast tier on Redis: completed records only, written after their commit, believed only when authentic. */

import { BrokenCircuitError, ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel';
import type { Cluster, Redis } from 'ioredis';
import { ENVELOPE_VERSION, open, seal } from '../../record/envelope.ts';
import type { CompletedRecord } from '../../record/record.ts';
import { publish } from '../../telemetry/channels.ts';
import type { StoreClock } from '../clock.ts';
import { startDeadline } from '../deadline.ts';
import type { FastTier, Origin } from '../port.ts';

export interface RedisTierOptions {
  readonly client: Redis | Cluster;
  /** Whether the client is the library's own, to be closed with it. */
  readonly owned: boolean;
  readonly prefix: string;
  /** How long a command may take, whatever a client that is not the library's own is set to. */
  readonly timeoutMs: number;
  readonly clock: StoreClock;
  /** The database that this process reached last; without one, no entry can be told to be its own. */
  readonly origin: () => Origin | undefined;
}

/** An entry is no longer believed this long before its expiry: the clock is an estimate. */
const EXPIRY_MARGIN_MS = 1000;
const FAILURES_TO_OPEN = 5;
const HALF_OPEN_AFTER_MS = 2000;

export function redisTier(options: RedisTierOptions): FastTier {
  const { client, clock } = options;
  const breaker = circuitBreaker(handleAll, {
    halfOpenAfter: HALF_OPEN_AFTER_MS,
    breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN),
  });
  const writes = new Set<Promise<void>>();
  breaker.onBreak(() => publish({ type: 'redis', event: 'circuit-open' }));
  breaker.onReset(() => publish({ type: 'redis', event: 'circuit-closed' }));
  // Mandatory: an ioredis client without a listener prints every failed connection.
  const onError = (error: unknown): void => publishFailure('failed', error);
  client.on('error', onError);

  function keyOf(identity: Buffer, origin: Origin): string {
    return `${options.prefix}:${ENVELOPE_VERSION}:${origin.tag}:${identity.toString('base64url')}`;
  }

  async function write(identity: Buffer, record: CompletedRecord, origin: Origin): Promise<void> {
    const key = keyOf(identity, origin);
    const envelope = seal(key, record, origin.envelopeSecret);
    if (envelope === undefined) return;
    try {
      // NX and an absolute expiry: a write that Redis applies late, after its caller gave up, can only
      // restate what is true, and never outlives the row.
      const expiresMs = Math.floor(record.expiresMs);
      await breaker.execute(() =>
        within(client.set(key, envelope, 'PXAT', expiresMs, 'NX'), options.timeoutMs),
      );
      publish({ type: 'redis', event: 'written' });
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) publishFailure('write-failed', error);
    }
  }

  return {
    async recall(identity) {
      const origin = options.origin();
      const now = clock.now();
      if (origin === undefined || now === undefined) return undefined;
      const key = keyOf(identity, origin);
      let sealed: Buffer | null;
      try {
        sealed = await breaker.execute(() => within(client.getBuffer(key), options.timeoutMs));
      } catch (error) {
        if (!(error instanceof BrokenCircuitError)) publishFailure('failed', error);
        return undefined;
      }
      if (sealed === null) {
        publish({ type: 'redis', event: 'miss' });
        return undefined;
      }
      const opened = open(key, sealed, origin.envelopeSecret);
      if (opened.kind !== 'record') {
        publish({ type: 'redis', event: opened.kind });
        return undefined;
      }
      publish({ type: 'redis', event: 'hit' });
      return { record: opened.record, clockMs: now + EXPIRY_MARGIN_MS, origin };
    },

    remember(identity, record, origin) {
      const writing = write(identity, record, origin);
      writes.add(writing);
      void writing.finally(() => writes.delete(writing));
    },

    async close() {
      await Promise.all(writes);
      if (options.owned) client.disconnect();
      else client.off('error', onError);
    },
  };
}

/** ioredis notes the command in its errors: the password of an AUTH, the result of a SET. Nobody is told those. */
function publishFailure(event: 'failed' | 'write-failed', reason: unknown): void {
  if (!(reason instanceof Error)) {
    publish({ type: 'redis', event, error: reason });
    return;
  }
  const error = new Error(reason.message);
  error.name = reason.name;
  publish({ type: 'redis', event, error });
}

/** Bounds a command: a client of the user's, or a cluster that tries a lost node again, would take longer. */
async function within<T>(command: Promise<T>, timeoutMs: number): Promise<T> {
  let cancel: (() => void) | undefined;
  const timeout = new Promise<never>((_, reject) => {
    cancel = startDeadline(timeoutMs, () => reject(new Error(`no answer for ${timeoutMs} ms`)));
  });
  try {
    return await Promise.race([command, timeout]);
  } finally {
    cancel?.();
  }
}

/** Where no Redis is configured. */
export const noFastTier: FastTier = {
  recall: async () => undefined,
  remember: () => {},
  close: async () => {},
};
