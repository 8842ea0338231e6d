/** One attempt, which ends when its answer is there, its time is over, or nobody wants it any more. */

export type Sent<Answer> =
  | { readonly kind: 'received'; readonly received: Answer }
  | { readonly kind: 'failed'; readonly cause: unknown };

/** Resolves once, whatever the transport does: a transport that ignores its signal is left alone. */
export async function sendOnce<Answer>(
  send: (signal: AbortSignal) => Promise<Answer>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Sent<Answer>> {
  if (signal.aborted) return { kind: 'failed', cause: signal.reason };
  const attempt = new AbortController();
  return new Promise((resolve) => {
    const end = (sent: Sent<Answer>): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      resolve(sent);
    };
    const stop = (cause: unknown): void => {
      end({ kind: 'failed', cause });
      attempt.abort(cause);
    };
    const giveUp = (): void => stop(signal.reason);
    const timer = setTimeout(
      () => stop(new DOMException('The attempt took too long.', 'TimeoutError')),
      timeoutMs,
    );
    signal.addEventListener('abort', giveUp);
    const answer = async (): Promise<void> => {
      try {
        end({ kind: 'received', received: await send(attempt.signal) });
      } catch (cause) {
        end({ kind: 'failed', cause });
      }
    };
    void answer();
  });
}
