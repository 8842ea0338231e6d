/** Waits that end early when somebody gives up, and leave nothing behind. */

/** Waits; resolves early when `signal` is aborted. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, delayMs);
    signal.addEventListener('abort', end);
  });
}

/** The browser's own word on being offline; other platforms say nothing, and count as online. */
interface Surroundings {
  readonly navigator?: { readonly onLine?: boolean };
  addEventListener?(type: 'online', listener: () => void): void;
  removeEventListener?(type: 'online', listener: () => void): void;
}

/** Waits while the browser says that it is offline: an attempt would fail at once, and be one fewer. */
export async function online(signal: AbortSignal): Promise<void> {
  const page = globalThis as Surroundings;
  if (signal.aborted || page.navigator?.onLine !== false || !('addEventListener' in page)) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      page.removeEventListener?.('online', end);
      signal.removeEventListener('abort', end);
      resolve();
    };
    page.addEventListener?.('online', end);
    signal.addEventListener('abort', end);
  });
}
