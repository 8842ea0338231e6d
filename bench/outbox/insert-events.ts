/** Adds events as many attempts would have left them, without their calls: what is measured is what comes after. */

import type { Client } from 'pg';

/** Inserts events of the namespace that an instance has by default. Every second has a key, of 10,000. */
export async function insertEvents(client: Client, count: number, topic: string): Promise<void> {
  await client.query(
    `insert into graphql_idempotency.outbox (event_id, namespace, topic, ordering_key, headers, payload)
     select gen_random_uuid(), '', $2,
       case when n % 2 = 0 then 'account-' || floor(random() * 10000)::int end,
       '{"content-type":"application/json"}', convert_to(jsonb_build_object('payment', n, 'note', repeat('x', 180))::text, 'UTF8')
     from generate_series(1, $1::int) as n`,
    [count, topic],
  );
}
