/** A signal that aborts with another one, or when a time is up. */

/**
 * Made by hand, because Node 20's `AbortSignal.any` lets a timeout that only it listens to be collected, and then
 * never aborts. `end` stops listening.
 */
export function timedSignal(
  signal: AbortSignal,
  timeoutMs: number,
): { readonly signal: AbortSignal; readonly end: () => void } {
  const controller = new AbortController();
  const sources = [signal, AbortSignal.timeout(timeoutMs)];
  const abort = (): void => {
    end();
    controller.abort(sources.find(({ aborted }) => aborted)?.reason);
  };
  function end(): void {
    for (const source of sources) source.removeEventListener('abort', abort);
  }
  for (const source of sources) source.addEventListener('abort', abort);
  if (signal.aborted) abort();
  return { signal: controller.signal, end };
}
