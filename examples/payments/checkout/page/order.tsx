/** The cart and its Pay button. A new cart is a new one of these. */

import { useIdempotentMutation } from 'graphql-idempotency/client/react';
import type { ReactElement } from 'react';
import { Kettle } from './kettle.tsx';
import { Money } from './money.tsx';
import { CHARGE } from './operations.ts';
import { PaymentStatus } from './payment-status.tsx';
import { viewPayment } from './payment-view.ts';
import type { PaymentFacts, PaymentView } from './payment-view.ts';

export interface OrderProps extends Omit<PaymentFacts, 'status'> {
  readonly cart: string;
  /** Whether it was begun on this page: the button that began it is gone, and with it the focus. */
  readonly isNew: boolean;
  readonly onNewOrder: () => void;
}

const amountCents = 4900;

export function Order({ cart, isNew, onNewOrder, ...facts }: OrderProps): ReactElement {
  const [pay, { status }] = useIdempotentMutation(CHARGE, {
    variables: { input: { amountCents, currency: 'EUR', reference: cart } },
    intent: cart,
    // The status says it.
    onError: () => undefined,
  });
  const view = viewPayment({ status, ...facts });
  // What was sent again after a reload is under way already.
  const isResuming = status.state === 'idle' && isUnderWay(view);
  const isPaid = view.state === 'done';

  return (
    <section className="card order" aria-labelledby="order-title">
      <h1 id="order-title" className="card-title">
        Your order
      </h1>
      <div className="item">
        <Kettle />
        <div className="item-text">
          <p className="item-name">Enamel kettle</p>
          <p className="item-note">1.2 litres, forest green</p>
        </div>
        <Money cents={amountCents} />
      </div>
      <dl className="sums">
        <div>
          <dt>Delivery</dt>
          <dd>free</dd>
        </div>
        <div>
          <dt>Cart</dt>
          <dd className="mono">{cart}</dd>
        </div>
        <div className="sum">
          <dt>Total</dt>
          <dd>
            <Money cents={amountCents} />
          </dd>
        </div>
      </dl>
      {/* Never disabled while it is under way: it would lose the focus, and a second click is the same intent. */}
      <button
        type="button"
        className="pay"
        data-testid="pay"
        autoFocus={isNew}
        data-state={view.state}
        aria-busy={isUnderWay(view)}
        aria-disabled={isPaid}
        onClick={() => {
          if (!isPaid && !isResuming) void pay();
        }}
      >
        {labelOf(view)}
      </button>
      <PaymentStatus view={view} />
      {isPaid && (
        <button type="button" className="quiet" data-testid="new-order" onClick={onNewOrder}>
          Begin a new order
        </button>
      )}
    </section>
  );
}

function isUnderWay({ state }: PaymentView): boolean {
  return state === 'sending' || state === 'retrying';
}

function labelOf({ state }: PaymentView): ReactElement {
  switch (state) {
    case 'idle':
    case 'failed':
      return (
        <>
          Pay <Money cents={amountCents} />
        </>
      );
    case 'sending':
    case 'retrying':
      return (
        <>
          <span className="spinner" aria-hidden="true" /> Paying…
        </>
      );
    case 'unknown':
      return <>Ask again, with the same key</>;
    case 'done':
      return <>Paid</>;
  }
}
