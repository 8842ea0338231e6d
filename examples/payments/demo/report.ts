/** Counts what there is in the end, and holds it against what was sent. */

import { accountOf } from './client.ts';
import type { EventCounts } from './event-counts.ts';
import { totalsOf } from './ledger.ts';
import type { Totals } from './ledger.ts';
import type { Play } from './play.ts';
import { printLine } from './table.ts';

/** Prints the report, and says whether everything is as it should be. */
export async function report({ stage, server, charges, payouts, events, surprises }: Play): Promise<boolean> {
  const users = [...new Set([...charges.users, ...payouts.users])];
  const accounts = await Promise.all(users.map((user) => accountOf(server.url, user)));
  const payments = accounts.flatMap(({ payments }) => payments);
  const booked = accounts.flatMap(({ payouts }) => payouts);
  const paid = await stage.provider.payouts();

  const found: Totals = {
    number: payments.length,
    cents: accounts.reduce((sum, { balance }) => sum + balance, 0),
  };
  const equal =
    same(found, charges.expected) &&
    payments.every(({ id }) => charges.knows(id)) &&
    same(totalsOf(booked), payouts.expected) &&
    same(totalsOf(paid), payouts.expected) &&
    booked.every(
      ({ id, providerId }) => payouts.knows(id) && paid.some((payout) => payout.id === providerId),
    );

  printLine();
  printLine(`requests sent     ${count(charges.sent + payouts.sent)}`);
  printTotals('charges expected', charges.expected, 'one for each key of each user');
  printTotals('charges found', found, 'in the table');
  printTotals('payouts expected', payouts.expected, 'one for each key of each user');
  printTotals('payouts paid', totalsOf(paid), "in the provider's log");
  printTotals('payouts booked', totalsOf(booked), 'in the table');
  if (events !== undefined) printEvents(events);
  printLine();
  if (!equal) printLine('What was found is not what was expected.', 'red');
  if (surprises > 0) printLine(`${surprises} answers were not the expected ones.`, 'red');
  for (const violation of events?.violations ?? []) printLine(`Events: ${violation}.`, 'red');
  const good = equal && surprises === 0 && (events === undefined || events.violations.length === 0);
  if (good) printLine('Nobody was charged or paid twice, and no charge or payout was lost.', 'green');
  if (good && events !== undefined)
    printLine('Every payment was published at least once, and booked exactly once.', 'green');
  return good;
}

function printEvents({ payments, events, entries, ledger }: EventCounts): void {
  printTotals('payments', payments, 'in the last scene');
  printTotals('events', events, `in ${entries} entries of the stream`);
  printTotals('ledger', ledger, "in the bookkeeper's table");
}

function same(one: Totals, other: Totals): boolean {
  return one.number === other.number && one.cents === other.cents;
}

function printTotals(what: string, { number, cents }: Totals, where: string): void {
  printLine(`${what.padEnd(17)} ${count(number)}   EUR ${(cents / 100).toFixed(2)}, ${where}`);
}

function count(number: number): string {
  return String(number).padStart(3);
}
