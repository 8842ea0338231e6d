/** Says in words where the payment stands, to those who see and to those who listen. */

import type { ReactElement } from 'react';
import { Countdown } from './countdown.tsx';
import type { PaymentView } from './payment-view.ts';
import type { Served } from './timeline.ts';

export function PaymentStatus({ view }: { readonly view: PaymentView }): ReactElement {
  return (
    <div className="status" data-testid="status" data-state={view.state} role="status" aria-live="polite">
      <span className="status-dot" aria-hidden="true" />
      <p>{wordsFor(view)}</p>
    </div>
  );
}

function wordsFor(view: PaymentView): ReactElement {
  switch (view.state) {
    case 'idle':
      return <>Nothing has been sent yet.</>;
    case 'sending':
      return view.attempt === 1 ? <>Sending…</> : <>Sending again, attempt {view.attempt}…</>;
    case 'retrying':
      return (
        <>
          No answer. Attempt {view.attempt} goes out with the same key <Countdown until={view.nextTryAt} />
        </>
      );
    case 'unknown':
      return (
        <>
          There is no answer, and nobody knows whether you were charged. Asking again is safe: the same key
          charges you once.
        </>
      );
    case 'done':
      return (
        <span data-testid="paid" data-served={view.served ?? 'executed'}>
          {paidWords(view.served)}
        </span>
      );
    case 'failed':
      return <>Not paid: {view.reason}</>;
  }
}

function paidWords(served: Served | undefined): ReactElement {
  switch (served) {
    case undefined:
      return <>This cart has been paid already.</>;
    case 'executed':
      return (
        <>
          Paid, once. The payment was <b>executed</b>.
        </>
      );
    case 'replayed':
      return (
        <>
          Paid, once. An earlier attempt had been executed already; its answer was <b>replayed</b>.
        </>
      );
  }
}
