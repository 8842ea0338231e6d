/** A relay in a process of its own: says what it publishes, and hangs or dies of it when it is told to. */

import { createIdempotency } from 'graphql-idempotency';

const [url, leaseMs, crashLimit] = process.argv.slice(2);

const idempotency = createIdempotency({
  scope: () => 'relay',
  postgres: url!,
  redis: false,
  sweepInterval: 0,
});
idempotency
  .relay({
    leaseMs: Number(leaseMs),
    crashLimit: Number(crashLimit),
    pollMinMs: 5,
    pollMaxMs: 20,
    publish: async ({ id, payload }) => {
      const what: unknown = JSON.parse(payload.toString());
      process.send?.({ publishing: id, what });
      if (what === 'hang') await new Promise(() => {});
      if (what === 'die') process.kill(process.pid, 'SIGKILL');
    },
  })
  .start();
