/** Makes guarded calls, many at a time, and says which were answered. */

import { createIdempotency } from 'graphql-idempotency';
import { makeCall } from './call.ts';
import { planCall } from './plan-call.ts';
import { receiveOrders, tellReady } from './settings.ts';
import type { ProcessReport } from './settings.ts';

const CONCURRENCY = 20;

const { seed, databaseUrl, calls, ended } = await receiveOrders();
let isEnding = false;
void ended.then(() => {
  isEnding = true;
});

const idempotency = createIdempotency({
  scope: () => 'mutator',
  postgres: databaseUrl,
  redis: false,
  sweepInterval: 0,
  recoverInterval: 0,
  poolSize: CONCURRENCY,
  acquireTimeout: 20_000,
});
const answered = new Set(calls.answered);
let next = calls.from;

async function work(): Promise<void> {
  // What an earlier process has begun may have committed: it is asked for an answer in any case.
  while (next < (isEnding ? calls.begunBefore : calls.until)) {
    const index = next;
    next += 1;
    if (answered.has(index)) continue;
    tell({ begun: index });
    const complaints = await makeCall(idempotency, planCall(seed, index));
    for (const complaint of complaints) tell({ complaint });
    tell({ answered: index });
  }
}

function tell(report: ProcessReport): void {
  process.send!(report);
}

tellReady();
await Promise.all(Array.from({ length: CONCURRENCY }, work));
await ended;
await idempotency.close();
process.exit();
