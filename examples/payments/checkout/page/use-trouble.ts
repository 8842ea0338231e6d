/** The server's switches: how they are, and how to set them. */

import { useCallback, useEffect, useState } from 'react';

export interface Trouble {
  readonly dropResponses: number;
  readonly slowMs: number;
  readonly downForMs: number;
  readonly redisDown: boolean;
  readonly redisMissing: string | null;
}

export interface TroubleControl {
  /** Absent until the server has told. */
  readonly trouble: Trouble | undefined;
  /** When the server is up again, in milliseconds since 1970. */
  readonly downUntil: number;
  /** Why the last question was refused. */
  readonly error: string | undefined;
  readonly refresh: () => void;
  readonly set: (trouble: Partial<Trouble>) => void;
}

const address = '/checkout/trouble';

export function useTrouble(): TroubleControl {
  const [told, setTold] = useState<Pick<TroubleControl, 'trouble' | 'downUntil'>>({
    trouble: undefined,
    downUntil: 0,
  });
  const [error, setError] = useState<string>();

  const ask = useCallback(async (init?: RequestInit): Promise<void> => {
    try {
      const response = await fetch(address, init);
      const answer = (await response.json()) as Trouble | { readonly error: string };
      if ('error' in answer) return setError(answer.error);
      setTold({ trouble: answer, downUntil: Date.now() + answer.downForMs });
      setError(undefined);
    } catch {
      setError('The server does not answer.');
    }
  }, []);

  const refresh = useCallback(() => void ask(), [ask]);
  const set = useCallback(
    (trouble: Partial<Trouble>) =>
      void ask({
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(trouble),
      }),
    [ask],
  );

  useEffect(refresh, [refresh]);
  // Another tab may have set them.
  useEffect(() => {
    addEventListener('focus', refresh);
    return () => removeEventListener('focus', refresh);
  }, [refresh]);
  useEffect(() => {
    if (told.trouble === undefined || told.trouble.downForMs === 0) return undefined;
    const timer = setTimeout(refresh, told.trouble.downForMs + 50);
    return () => clearTimeout(timer);
  }, [told, refresh]);

  return { ...told, error, refresh, set };
}
