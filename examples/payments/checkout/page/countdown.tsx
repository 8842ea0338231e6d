/** How long it is until then, counted down for the eye only: a screen reader would read every number. */

import { useEffect, useState } from 'react';
import type { ReactElement } from 'react';

export function Countdown({ until }: { readonly until: number }): ReactElement {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 100);
    return () => clearInterval(timer);
  }, []);
  const leftMs = Math.max(0, until - now);
  return (
    <span className="countdown" aria-hidden="true">
      {wordsFor(leftMs)}
    </span>
  );
}

function wordsFor(leftMs: number): string {
  if (leftMs > 0) return `in ${(leftMs / 1000).toFixed(1)} s`;
  return navigator.onLine ? 'now' : 'when the browser is online again';
}
