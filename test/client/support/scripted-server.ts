/** A server that executes a key at most once, behind a network that does what a script says. */

import { ASKED, FAILURES } from './failures.ts';
import type { Failure, FailureName, Says } from './failures.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface Step {
  readonly failure: FailureName;
  /** A name in `ASKED`. */
  readonly asked: string;
  readonly latencyMs: number;
  /** How long a request stays in the network that the client has lost. */
  readonly lateMs: number;
}

/** One attempt, as the network saw it. */
export interface Attempt {
  readonly key: string | null;
  readonly at: number;
  endedAt: number;
  says: Says;
  status: number | undefined;
  /** What the server asked to wait for, in milliseconds. */
  floorMs: number;
}

export interface ScriptedServer {
  readonly fetch: typeof fetch;
  readonly attempts: readonly Attempt[];
  /** How often the effect happened. */
  executed(): number;
}

const ALWAYS_SLOW_MS = 10_000_000;
const HEALTHY: Step = { failure: 'paid', asked: 'missing', latencyMs: 1, lateMs: 0 };

/** After the last step everything goes well. */
export function scriptedServer(
  clock: VirtualClock,
  steps: readonly Step[],
  onSend: (attempt: number) => void = () => undefined,
): ScriptedServer {
  const attempts: Attempt[] = [];
  const executed: string[] = [];
  const execute = (key: string): void => {
    if (!executed.includes(key)) executed.push(key);
  };

  function arrive(key: string, { executes, says }: Failure, { latencyMs, lateMs }: Step): void {
    // A key that executed has no other content: the server would replay it.
    if (executes === 'never' && says !== 'answer') return;
    clock.after(executes === 'late' ? latencyMs + lateMs : latencyMs / 2, () => {
      if (executes !== 'never') execute(key);
    });
  }

  const send: typeof fetch = (_, init) => {
    const { signal, key } = readInit(init);
    const step = steps[attempts.length] ?? HEALTHY;
    const failure: Failure = FAILURES[step.failure];
    const attempt: Attempt = {
      key,
      at: clock.now(),
      endedAt: Infinity,
      says: 'nothing',
      status: undefined,
      floorMs: 0,
    };
    attempts.push(attempt);
    arrive(key ?? 'without a key', failure, step);
    onSend(attempts.length);
    return new Promise((resolve, reject) => {
      let ended = false;
      const end = (how: () => void): void => {
        if (ended) return;
        ended = true;
        attempt.endedAt = clock.now();
        how();
      };
      const aborted = (): void => end(() => failure.slow === 'deaf' || reject(signal.reason as Error));
      if (signal.aborted) return aborted();
      signal.addEventListener('abort', aborted, { once: true });
      clock.after(failure.slow === undefined ? step.latencyMs : ALWAYS_SLOW_MS, () =>
        end(() => {
          if (failure.reply === undefined) return reject(new TypeError('fetch failed'));
          resolve(reply(failure, step, attempt, executed.includes(key ?? '')));
        }),
      );
    });
  };
  return { fetch: send, attempts, executed: () => executed.length };
}

function reply(failure: Failure, step: Step, attempt: Attempt, replays: boolean): Response {
  const settled = failure.says === 'answer' && replays ? FAILURES.paid : failure;
  const { status, body, headers } = settled.reply!;
  const asked = ASKED[step.asked]!;
  const told = asked.headers();
  attempt.says = settled.says;
  attempt.status = status;
  // With a body that breaks off, nothing that came with it counts.
  if (typeof body === 'string') attempt.floorMs = Math.max(failure.floorMs ?? 0, asked.floorMs(told));
  return new Response(typeof body === 'function' ? body() : body, {
    status,
    headers: { ...headers, ...told },
  });
}

function readInit(init: RequestInit | undefined): { signal: AbortSignal; key: string | null } {
  const body = JSON.parse(init!.body as string) as { extensions?: { idempotencyKey?: string } };
  const key = new Headers(init!.headers).get('idempotency-key') ?? body.extensions?.idempotencyKey ?? null;
  return { signal: init!.signal!, key };
}
