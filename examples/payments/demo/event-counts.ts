/** Holds payments, their events and the ledger against each other: as many of each, and the same ones. */

import type { LedgerState } from '../bookkeeper.ts';
import { accountOf } from './client.ts';
import type { PublishedEvent } from './event-stream.ts';
import { totalsOf } from './ledger.ts';
import type { Totals } from './ledger.ts';
import type { Order } from './orders.ts';

/** What became of the orders of some users. */
export interface EventCounts {
  readonly expected: Totals;
  readonly payments: Totals;
  /** Distinct ones. */
  readonly events: Totals;
  /** In the stream, repetitions included. */
  readonly entries: number;
  readonly ledger: Totals;
  /** In words; none where all is as it should be. */
  readonly violations: readonly string[];
}

export interface EventSources {
  readonly orders: readonly Order[];
  /** The ids that the answers named. */
  readonly charged: readonly string[];
  readonly serverUrl: string;
  readonly bookkeeperUrl: string;
  /** What the stream holds; of earlier scenes, too. */
  readonly entries: readonly PublishedEvent[];
}

export async function countEvents(sources: EventSources): Promise<EventCounts> {
  const { orders, charged, serverUrl, bookkeeperUrl } = sources;
  const users = new Set(orders.map(({ user }) => user));
  const accounts = await Promise.all([...users].map((user) => accountOf(serverUrl, user)));
  const payments = accounts.flatMap((account) => account.payments.map(({ id }) => id));
  const published = sources.entries.filter(({ payment }) => users.has(payment.user));
  const events = [...new Map(published.map((event) => [event.eventId, event.payment])).values()];
  const ledger = (await (await fetch(bookkeeperUrl)).json()) as LedgerState;
  const booked = ledger.entries.filter(({ user }) => users.has(user));

  const expected = totalsOf(orders.filter(({ isRefused }) => !isRefused));
  const counts = {
    expected,
    payments: {
      number: payments.length,
      cents: accounts.reduce((sum, { balance }) => sum + balance, 0),
    },
    events: totalsOf(events),
    entries: published.length,
    ledger: totalsOf(booked),
  };
  const ids = {
    'payments, by the answers': charged,
    payments,
    events: events.map(({ id }) => id),
    'rows of the ledger': booked.map(({ paymentId }) => paymentId),
  };
  const violations = [
    ...Object.entries(ids).flatMap(([what, found]) => differences(what, found, payments)),
    ...Object.entries({ payments: counts.payments, events: counts.events, ledger: counts.ledger })
      .filter(([, { number, cents }]) => number !== expected.number || cents !== expected.cents)
      .map(([what]) => `${what}: not the number or the sum that was expected`),
  ];
  return { ...counts, violations };
}

function differences(what: string, found: readonly string[], payments: readonly string[]): string[] {
  const missing = payments.filter((id) => !found.includes(id)).length;
  const foreign = found.filter((id) => !payments.includes(id)).length;
  const twice = found.length - new Set(found).size;
  return [
    ...(missing > 0 ? [`${what}: ${missing} missing`] : []),
    ...(foreign > 0 ? [`${what}: ${foreign} of payments that do not exist`] : []),
    ...(twice > 0 ? [`${what}: ${twice} twice`] : []),
  ];
}
