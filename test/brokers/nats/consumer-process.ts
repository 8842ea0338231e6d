/** A consumer in a process of its own: says which message it has begun, and never ends it. */

import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { consumeJetStream } from 'graphql-idempotency/nats';

const [servers, stream] = process.argv.slice(2);

const connection = await connect({ servers: servers! });
await consumeJetStream({ js: jetstream(connection), stream: stream!, durable: 'worker' }, async (message) => {
  process.send?.({ begun: message.payload.toString() });
  await new Promise(() => {});
});
