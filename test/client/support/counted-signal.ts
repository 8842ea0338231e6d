/** An abort signal whose listeners are counted. */

export interface CountedSignal {
  readonly controller: AbortController;
  readonly signal: AbortSignal;
  listeners(): number;
}

export function countedSignal(): CountedSignal {
  const controller = new AbortController();
  const { signal } = controller;
  const listening = new Set<unknown>();
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  Object.assign(signal, {
    addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }) {
      listening.add(listener);
      add(type, listener, options);
    },
    removeEventListener(type: 'abort', listener: () => void) {
      listening.delete(listener);
      remove(type, listener);
    },
  });
  return { controller, signal, listeners: () => listening.size };
}
