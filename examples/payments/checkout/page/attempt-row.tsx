/** One attempt: what it waited for, how it ended, and whether it was executed or replayed. */

import type { ReactElement } from 'react';
import type { Attempt, Outcome } from './timeline.ts';

export function AttemptRow({ attempt }: { readonly attempt: Attempt }): ReactElement {
  const { key, number, waitedMs, sentAt, outcome } = attempt;
  return (
    <li
      className="attempt"
      data-testid="attempt"
      data-key={key}
      data-number={number}
      data-outcome={outcome.kind}
      data-served={outcome.kind === 'answered' ? outcome.served : ''}
    >
      {number > 1 && (
        <p className="attempt-wait">
          {waitedMs === undefined ? 'Asked for again' : `Waited ${seconds(waitedMs)}`}
        </p>
      )}
      <p className="attempt-line">
        <span className="attempt-number">Attempt {number}</span>
        <span className={`chip chip-${outcome.kind === 'answered' ? outcome.served : outcome.kind}`}>
          {wordsFor(outcome)}
        </span>
        <time className="attempt-time" dateTime={new Date(sentAt).toISOString()}>
          {clock.format(sentAt)}
        </time>
      </p>
      <p className="attempt-note">{noteFor(outcome)}</p>
    </li>
  );
}

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

function wordsFor(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'pending':
      return 'under way';
    case 'lost':
      return 'no answer';
    case 'refused':
      return (
        outcome.code
          ?.replace(/^IDEMPOTENCY_/, '')
          .replaceAll('_', ' ')
          .toLowerCase() ?? 'refused'
      );
    case 'answered':
      return outcome.served;
  }
}

function noteFor(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'pending':
      return 'Waiting for the answer';
    case 'lost':
      return `The connection ended after ${seconds(outcome.tookMs)}`;
    case 'refused':
    case 'answered':
      return `Status ${outcome.status} after ${seconds(outcome.tookMs)}`;
  }
}

function seconds(ms: number): string {
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
