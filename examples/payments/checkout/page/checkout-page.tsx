/** The whole page: the order, the switches, the timeline and the balance. */

import { useQuery } from '@apollo/client/react';
import { useEffect, useState, useSyncExternalStore } from 'react';
import type { ReactElement } from 'react';
import { withNewCart } from './address.ts';
import type { Address } from './address.ts';
import { Money } from './money.tsx';
import { ACCOUNT } from './operations.ts';
import { Order } from './order.tsx';
import type { Resumption } from './resumed.ts';
import { TimelineCard } from './timeline-card.tsx';
import type { Timeline } from './timeline.ts';
import { TroubleCard } from './trouble-card.tsx';
import { useTrouble } from './use-trouble.ts';

export interface CheckoutPageProps {
  readonly address: Address;
  readonly timeline: Timeline;
  readonly resumption: Resumption;
}

export function CheckoutPage({ address: first, timeline, resumption }: CheckoutPageProps): ReactElement {
  const [address, setAddress] = useState(first);
  const attempts = useSyncExternalStore(timeline.subscribe, timeline.state);
  const resumed = useSyncExternalStore(resumption.subscribe, resumption.state);
  const { data: account, refetch } = useQuery(ACCOUNT, { fetchPolicy: 'network-only' });
  const trouble = useTrouble();

  // An attempt that was lost may have been executed: the balance tells, long before the answer does.
  const ended = attempts.attempts.filter(({ outcome }) => outcome.kind !== 'pending').length;
  const { refresh } = trouble;
  useEffect(() => {
    if (ended === 0) return;
    refresh();
    refetch().catch(() => undefined);
  }, [ended, refetch, refresh]);

  return (
    <>
      <header className="masthead">
        <p className="brand">
          <Mark /> Checkout
        </p>
        <p className="account">
          <span className="account-user">{address.user}</span>
          <span className="account-balance">
            Charged so far{' '}
            <strong data-testid="balance" data-cents={account?.balance ?? ''} aria-live="polite">
              {account === undefined ? '…' : <Money cents={account.balance} />}
            </strong>
          </span>
        </p>
      </header>
      <main className="columns">
        <div className="column">
          <Order
            key={address.cart}
            cart={address.cart}
            paidBefore={account?.payments.some(({ reference }) => reference === address.cart) ?? false}
            attempts={attempts}
            resumed={resumed.find(({ intent }) => intent.name === address.cart)}
            isNew={address !== first}
            onNewOrder={() => setAddress(withNewCart)}
          />
          <TroubleCard {...trouble} />
        </div>
        <TimelineCard attempts={attempts} resumed={resumed} />
      </main>
    </>
  );
}

function Mark(): ReactElement {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
      <path
        d="M4 12a8 8 0 0 1 13.7-5.6M20 12a8 8 0 0 1-13.7 5.6"
        fill="none"
        stroke="currentColor"
        strokeWidth="2.4"
        strokeLinecap="round"
      />
      <path d="M18.6 2.6v4.6H14M5.4 21.4v-4.6H10" fill="none" stroke="currentColor" strokeWidth="2.4" />
      <circle cx="12" cy="12" r="2.6" fill="currentColor" />
    </svg>
  );
}
