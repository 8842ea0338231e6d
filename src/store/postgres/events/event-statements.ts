/** The statement that writes events in the transaction that they tell of. */

import type { NewEvent } from '../../outbox-port.ts';
import { quoteIdentifier } from '../quote-identifier.ts';
import { literal } from '../sql-literal.ts';

/** Makes the statement that inserts events in an attempt's transaction, marked by its token. */
export type InsertEvents = (token: string, events: readonly NewEvent[]) => string;

/**
 * Only in the transaction that the claim has begun: in one that somebody ended underneath, and so rolled back
 * perhaps, it inserts nothing, and the end of the attempt says why. Texts are written as bytes, because a library
 * that this is sent through could take a colon or a question mark for the place of a parameter.
 */
export function insertEventsFor(schemaName: string, namespace: string): InsertEvents {
  const outbox = `${quoteIdentifier(schemaName)}.outbox`;
  return (token, events) => {
    const rows = events.map(({ eventId, topic, orderingKey, headers, payload }) => {
      const key = orderingKey === undefined ? 'cast(null as text)' : text(orderingKey);
      const values = [`cast(${literal(eventId)} as uuid)`, text(namespace), text(topic), key];
      return `(${[...values, text(JSON.stringify(headers)), literal(payload)].join(', ')})`;
    });
    return `insert into ${outbox} (event_id, namespace, topic, ordering_key, headers, payload)
      select e.* from (values ${rows.join(', ')}) as e
      where pg_catalog.current_setting('idempotency.attempt', true) = ${literal(token)}`;
  };
}

function text(value: string): string {
  return `pg_catalog.convert_from(${literal(Buffer.from(value))}, 'UTF8')`;
}
