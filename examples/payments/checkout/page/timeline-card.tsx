/** Every attempt since the page was loaded, by key, and the waits between them. */

import { useEffect, useRef } from 'react';
import type { ReactElement } from 'react';
import { AttemptRow } from './attempt-row.tsx';
import { Countdown } from './countdown.tsx';
import type { ResumedIntent } from './resumed.ts';
import { attemptsOf } from './timeline.ts';
import type { TimelineState } from './timeline.ts';

export interface TimelineCardProps {
  readonly attempts: TimelineState;
  readonly resumed: readonly ResumedIntent[];
}

export function TimelineCard({ attempts, resumed }: TimelineCardProps): ReactElement {
  const keys = [...new Set(attempts.attempts.map(({ key }) => key))];
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [attempts]);

  return (
    <section className="card timeline" aria-labelledby="timeline-title">
      <h2 id="timeline-title" className="card-title">
        Attempts
      </h2>
      <div className="groups" ref={list}>
        {keys.length === 0 && (
          <p className="empty">
            Each attempt to pay shows up here: its key, how long it waited, and what became of it. Lose an
            answer on purpose, and pay.
          </p>
        )}
        {keys.map((key) => (
          <Group
            key={key}
            idempotencyKey={key}
            attempts={attempts}
            isResumed={resumed.some(({ intent }) => intent.key === key)}
          />
        ))}
      </div>
    </section>
  );
}

interface GroupProps {
  readonly idempotencyKey: string;
  readonly attempts: TimelineState;
  readonly isResumed: boolean;
}

function Group({ idempotencyKey, attempts, isResumed }: GroupProps): ReactElement {
  const wait = attempts.waits.get(idempotencyKey);
  return (
    <div className="group">
      <h3 className="group-title">
        Key{' '}
        <code className="key" title={idempotencyKey}>
          {shorten(idempotencyKey)}
        </code>
        {isResumed && <span className="chip chip-resumed">begun before the reload</span>}
      </h3>
      <ol className="attempts">
        {attemptsOf(attempts, idempotencyKey).map((attempt) => (
          <AttemptRow key={attempt.id} attempt={attempt} />
        ))}
        {wait !== undefined && (
          <li className="attempt attempt-to-come">
            <p className="attempt-wait">
              Next attempt <Countdown until={wait.nextTryAt} />
            </p>
          </li>
        )}
      </ol>
    </div>
  );
}

function shorten(key: string): string {
  return key.length <= 12 ? key : `${key.slice(0, 8)}…`;
}
