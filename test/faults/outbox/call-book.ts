/** Which calls were begun and answered, through all the processes that make them. */

import type { CallRange, ProcessReport } from './settings.ts';

export interface CallBook {
  readonly begun: ReadonlySet<number>;
  readonly answered: ReadonlySet<number>;
  readonly complaints: readonly string[];
  note(report: ProcessReport): void;
  /** What is left for a process that starts now. */
  range(): CallRange;
}

export function openCallBook(calls: number): CallBook {
  const begun = new Set<number>();
  const answered = new Set<number>();
  const complaints: string[] = [];
  let firstOpen = 0;
  let begunBefore = 0;
  return {
    begun,
    answered,
    complaints,
    note({ begun: index, answered: settled, complaint }) {
      if (index !== undefined) begun.add(index);
      if (index !== undefined) begunBefore = Math.max(begunBefore, index + 1);
      if (settled !== undefined) answered.add(settled);
      while (answered.has(firstOpen)) firstOpen += 1;
      if (complaint !== undefined) complaints.push(complaint);
    },
    range: () => ({
      from: firstOpen,
      until: calls,
      begunBefore,
      answered: [...answered].filter((index) => index > firstOpen),
    }),
  };
}
