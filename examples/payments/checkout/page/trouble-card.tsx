/** The switches for trouble, for the whole server. */

import type { ReactElement, ReactNode } from 'react';
import { Countdown } from './countdown.tsx';
import type { TroubleControl } from './use-trouble.ts';

const slowMs = 3000;
const downForMs = 5000;

export function TroubleCard({ trouble, downUntil, error, set }: TroubleControl): ReactElement {
  const { dropResponses = 0, slowMs: delayMs = 0, redisDown = false, redisMissing = null } = trouble ?? {};
  const isDown = (trouble?.downForMs ?? 0) > 0;
  return (
    <section className="card" aria-labelledby="trouble-title">
      <h2 id="trouble-title" className="card-title">
        Make trouble
      </h2>
      <div className="switches">
        <Switch
          id="drop"
          title="Lose the next answer"
          note="The payment is executed, and then the connection breaks."
          isOn={dropResponses > 0}
          onChange={(on) => set({ dropResponses: on ? 1 : 0 })}
        />
        <Switch
          id="slow"
          title="Slow server"
          note={`Every request waits ${slowMs / 1000} seconds.`}
          isOn={delayMs > 0}
          onChange={(on) => set({ slowMs: on ? slowMs : 0 })}
        />
        <Switch
          id="down"
          title={`Server down for ${downForMs / 1000} seconds`}
          note={
            isDown ? (
              <>
                Back <Countdown until={downUntil} />
              </>
            ) : (
              'Every connection breaks at once.'
            )
          }
          isOn={isDown}
          onChange={(on) => set({ downForMs: on ? downForMs : 0 })}
        />
        <Switch
          id="redis"
          title="Redis down"
          note={redisMissing ?? 'Slower perhaps, and never wrong.'}
          isOn={redisDown}
          isMissing={redisMissing !== null}
          onChange={(on) => set({ redisDown: on })}
        />
      </div>
      {error !== undefined && (
        <p className="trouble-error" role="alert">
          {error}
        </p>
      )}
    </section>
  );
}

interface SwitchProps {
  readonly id: string;
  readonly title: string;
  readonly note: ReactNode;
  readonly isOn: boolean;
  readonly isMissing?: boolean;
  readonly onChange: (on: boolean) => void;
}

function Switch({ id, title, note, isOn, isMissing = false, onChange }: SwitchProps): ReactElement {
  return (
    <button
      type="button"
      role="switch"
      className="switch"
      data-testid={`trouble-${id}`}
      aria-checked={isOn}
      aria-labelledby={`${id}-title`}
      aria-describedby={`${id}-note`}
      disabled={isMissing}
      onClick={() => onChange(!isOn)}
    >
      <span className="switch-text">
        <span id={`${id}-title`} className="switch-title">
          {title}
        </span>
        <span id={`${id}-note`} className="switch-note">
          {note}
        </span>
      </span>
      <span className="switch-track" aria-hidden="true" />
    </button>
  );
}
