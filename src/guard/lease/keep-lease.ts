/** Keeps a lease alive while its attempt runs, and tells the attempt when that no longer works. */

import { setMaxListeners } from 'node:events';
import type { HeldLease } from '../../store/lease-port.ts';
import { isObserved, publish } from '../../telemetry/channels.ts';
import type { LeaseEvent } from '../../telemetry/channels.ts';

export interface LeaseSettings {
  readonly leaseMs: number;
  readonly renewMs: number;
  /** How long an attempt may run before its lease is no longer renewed. */
  readonly attemptTimeoutMs: number;
  readonly maxAttempts: number;
}

export interface Keeper {
  /** Aborts when the lease is lost, or may be. */
  readonly signal: AbortSignal;
  /** Whether it is; then no new effect may begin. */
  readonly aborted: boolean;
  /** Resolves when the attempt is over, whatever its resolver still does. */
  readonly over: Promise<Error>;
  /** Ends the attempt: somebody has found that another one holds the lease. */
  lose(): void;
  /** Renews no more. */
  stop(): void;
}

/** How much sooner than a renewal its repetition comes, after one that failed. */
const RETRIES_PER_RENEWAL = 4;

export function keepLease(lease: HeldLease, { renewMs, attemptTimeoutMs }: LeaseSettings): Keeper {
  const endMs = performance.now() + attemptTimeoutMs;
  let controller: AbortController | undefined;
  let reason: Error | undefined;
  let stopped = false;
  let lapsed = false;
  let timer: NodeJS.Timeout | undefined;
  let lapse: NodeJS.Timeout | undefined;
  let end!: (reason: Error) => void;
  const over = new Promise<Error>((resolve) => {
    end = resolve;
  });

  function schedule(delayMs: number): void {
    if (!stopped) timer = setTimeout(() => void renew(), Math.max(0, delayMs));
  }

  async function renew(): Promise<void> {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) return runOut();
    // Now, and not when it has failed: it may wait for a connection until after the lease's end.
    lapse ??= setTimeout(onLapse, Math.max(0, lease.aliveUntilMs - performance.now()));
    // Not until the next one is due: an answer that comes later says less than what is asked then.
    const answer = await lease.renew(renewMs);
    if (stopped) return;
    switch (answer) {
      case 'done':
        clearTimeout(lapse);
        lapse = undefined;
        lapsed = false;
        tellLease(lease, 'renewed');
        return schedule(Math.min(renewMs, leftMs));
      case 'lost':
        return lose();
      default:
        tellLease(lease, 'renewal-failed');
        return schedule(renewMs / RETRIES_PER_RENEWAL);
    }
  }

  /** Nobody may have taken it over yet: the fence will decide, when there is an answer again. */
  function onLapse(): void {
    if (lapsed) return;
    lapsed = true;
    tellLease(lease, 'lapsed');
    abort(new Error('the lease could not be renewed in time'));
  }

  /** A process that stood still goes on before its timers do, and would begin effects on a lease that is over. */
  function lookAtClock(): void {
    if (!stopped && reason === undefined && performance.now() >= lease.aliveUntilMs) onLapse();
  }

  function lose(): void {
    stop();
    abort(new Error('the lease is lost: another attempt holds it'));
    end(reason!);
  }

  /** A resolver that never settles must not hold its key for ever. */
  function runOut(): void {
    abort(new Error(`the attempt lasted longer than ${attemptTimeoutMs} ms`));
    clearTimeout(lapse);
    lapse = setTimeout(
      () => {
        tellLease(lease, 'lapsed');
        stop();
        end(reason!);
      },
      Math.max(0, lease.aliveUntilMs - performance.now()),
    );
  }

  function abort(why: Error): void {
    reason ??= why;
    controller?.abort(reason);
  }

  function stop(): void {
    stopped = true;
    clearTimeout(timer);
    clearTimeout(lapse);
  }

  /** Its holder would hear of it from the next renewal only, and begin effects until then. */
  function onGivenUp(why: Error): void {
    if (stopped) return;
    stop();
    abort(why);
    end(reason!);
  }

  schedule(Math.min(renewMs, attemptTimeoutMs));
  void lease.givenUp.then(onGivenUp);
  return {
    // Made when somebody asks: most resolvers don't.
    get signal() {
      lookAtClock();
      if (controller === undefined) {
        controller = new AbortController();
        // As many listen as steps run; Node would warn of the eleventh.
        setMaxListeners(0, controller.signal);
        if (reason !== undefined) controller.abort(reason);
      }
      return controller.signal;
    },
    get aborted() {
      lookAtClock();
      return reason !== undefined;
    },
    over,
    lose,
    stop,
  };
}

/** Tells whoever listens what happened to a lease. */
export function tellLease(
  { coordinate, identity, attempt }: Pick<HeldLease, 'coordinate' | 'identity' | 'attempt'>,
  event: LeaseEvent,
  error?: unknown,
): void {
  if (!isObserved()) return;
  publish({
    type: 'lease',
    event,
    coordinate,
    identity: identity.toString('hex'),
    attempt,
    ...(error === undefined ? {} : { error }),
  });
}
