/** The statement that writes events in the transaction that they tell of. */

import type { NewEvent } from '../../outbox-port.ts';
import { quoteIdentifier } from '../quote-identifier.ts';
import { literal } from '../sql-literal.ts';

/** Makes the statement that inserts events in an attempt's transaction, marked by its token. */
export type InsertEvents = (token: string, events: readonly NewEvent[]) => string;

/**
 * Only in the transaction that the claim has begun: in one that somebody ended underneath, and so rolled back
 * perhaps, it inserts nothing, and the end of the attempt says why.
 */
export function insertEventsFor(schemaName: string, namespace: string): InsertEvents {
  const schema = quoteIdentifier(schemaName);
  return (token, events) => {
    const calls = events.map(({ eventId, topic, orderingKey, headers, payload }, at) => {
      const key = orderingKey === undefined ? 'null' : text(orderingKey);
      const values = [literal(token), literal(eventId), text(namespace), text(topic), key];
      const call = [...values, text(JSON.stringify(headers)), literal(payload)].join(', ');
      return `${schema}.add_event(${call}) as added_${at}`;
    });
    return `select ${calls.join(', ')}`;
  };
}

/** What a library that this is sent through could take for the place of a parameter, or read in its own way. */
const SPECIAL = /[:?$@\\']/;

/** As bytes, where it is not plain. */
function text(value: string): string {
  return SPECIAL.test(value)
    ? `pg_catalog.convert_from(${literal(Buffer.from(value))}, 'UTF8')`
    : literal(value);
}
