/** Deadlines for answers from a store. */

/**
 * Calls back when the time is up, and returns what cancels it. Node runs timers before it reads its sockets:
 * after a turn of the event loop that took long, every deadline is over, and the answers lie there unread. So
 * the sockets are read once more first; a busy process must not take its own delay for a dead store.
 */
export function startDeadline(timeoutMs: number, onExpiry: () => void): () => void {
  let grace: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    grace = setImmediate(onExpiry);
  }, timeoutMs);
  return () => {
    clearTimeout(timer);
    if (grace !== undefined) clearImmediate(grace);
  };
}
