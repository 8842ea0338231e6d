/** A consumer that takes messages, tells its parent of each, and is never done with any. */

import amqp from 'amqplib';
import { consumeRabbitQueue } from 'graphql-idempotency/rabbitmq';

const [url, queue] = process.argv.slice(2) as [string, string];

consumeRabbitQueue({ connect: () => amqp.connect(url), queue }, ({ messageId }) => {
  process.send?.({ messageId });
  return new Promise(() => {});
});
