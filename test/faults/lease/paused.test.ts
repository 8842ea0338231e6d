/** A process that does nothing for longer than its lease completes nothing, and its callers are told so. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, redisPrefix, redisUrl } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { eventually, within } from '../../support/signal.ts';
import { bringToStand } from './bring-to-stand.ts';
import { newCall } from './call.ts';
import type { Call } from './call.ts';
import { leasesOver, lookUp } from './ledger.ts';
import { points } from './points.ts';
import { callTransfer, startStage } from './stage.ts';
import type { Answered, Stage } from './stage.ts';
import { STALL, STAND_AT } from './standing.ts';
import type { TransferChild } from './transfer-child.ts';
import type { Policy, Transfer } from './transfer.ts';

const LEASE_MS = 2500;
const CONNECTIONS = 30;

let database: TestDatabase;
let stage: Stage;
let child: TransferChild;

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  stage = await startStage({
    databaseUrl: database.url,
    redisUrl: redisUrl(),
    redisPrefix: redisPrefix(),
    migrate: false,
    leaseMs: LEASE_MS,
    leasesEnd: 'in-time',
  });
});

afterAll(async () => {
  await stage.close();
  await database.drop();
});

/** How the others settle a call of which its own process knows nothing. */
const settlements = ['taken over', 'resolved as completed', 'resolved as not executed'] as const;
type Settlement = (typeof settlements)[number];

const policyOf = (settlement: Settlement): Policy => (settlement === 'taken over' ? 'RERUN' : 'REFUSE');

/** Settles it, and returns what every replay must be from then on. */
async function settleElsewhere(call: Call, settlement: Settlement): Promise<Transfer | undefined> {
  const { url, idempotency } = stage.living;
  const first = await eventually(async () => {
    const answer = await callTransfer(url, call.policy, call.note);
    return answer.outcome === 'IDEMPOTENCY_IN_PROGRESS' ? undefined : answer;
  });
  if (settlement === 'taken over') {
    expect(first).toMatchObject({ outcome: 'executed', transfer: { attempt: 2 } });
    return first.transfer;
  }
  expect(first.outcome).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  const found: Transfer = { note: call.note, reserved: 'found', payment: 0, captured: 'found', attempt: 1 };
  await idempotency.resolve(
    call.identity.toString('hex'),
    settlement === 'resolved as completed'
      ? { outcome: 'completed', result: found }
      : { outcome: 'not-executed' },
  );
  const { outcome, transfer } = await callTransfer(url, call.policy, call.note);
  expect(outcome).toBe(settlement === 'resolved as completed' ? 'replayed' : 'executed');
  return transfer;
}

async function expectToStand(call: Call, settled: Transfer | undefined): Promise<void> {
  const replayed = await callTransfer(stage.living.url, call.policy, call.note);
  expect(replayed).toEqual({ outcome: 'replayed', transfer: settled });
  const [known] = await lookUp(stage, [call]);
  expect(known).toMatchObject({ record: 'completed', journal: '' });
}

const effects = (step: string, { note }: Call): number => stage.provider.count('done', step, note);

describe('a process that is stopped for three leases, and continued', () => {
  const places = [
    'reserve-unanswered',
    'reserve-entry-late',
    'insert-unanswered',
    'commit-late',
    'capture-unanswered',
    'capture-entry-late',
    'complete-late',
  ];
  const all = places.flatMap((place) => settlements.map((settlement) => [place, settlement] as const));
  const stopped = new Map<string, { call: Call; settled: Transfer | undefined; answer: Answered }>();
  const nameOf = (place: string, settlement: Settlement): string =>
    `${place}-${settlements.indexOf(settlement)}`;

  beforeAll(async () => {
    child = await stage.startChild(CONNECTIONS);
    const held = await Promise.all(
      places.map(async (place) => {
        const calls = settlements.map((settlement) =>
          newCall(policyOf(settlement), 0, nameOf(place, settlement)),
        );
        const point = points.find(({ name }) => name === place)!;
        return { place, calls, held: await bringToStand(stage, child, point, calls) };
      }),
    );
    process.kill(child.pid, 'SIGSTOP');
    await stage.direct.query('select pg_sleep($1)', [(3 * LEASE_MS) / 1000]);
    const settled = await Promise.all(
      held.flatMap(({ calls, held: { disarm } }) => {
        disarm();
        return calls.map((call, at) => settleElsewhere(call, settlements[at]!));
      }),
    );
    // What was under way arrives before the process looks at its clock again.
    await Promise.all(held.map(({ held: { release } }) => release()));
    process.kill(child.pid, 'SIGCONT');
    for (const [
      index,
      {
        place,
        calls,
        held: { answers },
      },
    ] of held.entries()) {
      const got = await within(answers, {
        timeoutMs: 30_000,
        what: `the answers to those who called it at ${place}`,
      });
      for (const [at, call] of calls.entries()) {
        stopped.set(nameOf(place, settlements[at]!), {
          call,
          settled: settled[index * settlements.length + at],
          answer: got[at]!,
        });
      }
    }
  }, 180_000);

  afterAll(() => child.close());

  it.each(all)('at %s: tells its caller LEASE_LOST, when it was %s meanwhile', async (place, settlement) => {
    const { call, settled, answer } = stopped.get(nameOf(place, settlement))!;
    expect(answer).toEqual({ outcome: 'IDEMPOTENCY_LEASE_LOST', transfer: undefined });
    await expectToStand(call, settled);

    const booked = ['capture-unanswered', 'capture-entry-late', 'complete-late'].includes(place) ? 1 : 0;
    const [known] = await lookUp(stage, [call]);
    const payments = {
      'taken over': 1,
      'resolved as completed': booked,
      'resolved as not executed': booked + 1,
    };
    expect(known!.payments).toBe(payments[settlement]);
    expect(effects('reserve', call)).toBe(1);
    expect(effects('capture', call)).toBe(settlement === 'resolved as completed' ? booked : 1);
  });
});

describe('a process whose event loop stalls for two leases in a step', () => {
  beforeEach(async () => {
    child = await stage.startChild(CONNECTIONS);
  });

  afterEach(() => child.close());

  it.each(settlements)('tells its caller LEASE_LOST, when it was %s meanwhile', async (settlement) => {
    const call = newCall(policyOf(settlement), 0, `stall-${settlements.indexOf(settlement)}`);
    const answer = callTransfer(child.url, call.policy, call.note, { [STAND_AT]: STALL });
    // Its answer is the last thing that the process reads.
    await eventually(() => effects('reserve', call) === 1);
    await leasesOver(stage, [call]);
    const settled = await settleElsewhere(call, settlement);
    child.goOn();
    expect(await answer).toEqual({ outcome: 'IDEMPOTENCY_LEASE_LOST', transfer: undefined });
    await expectToStand(call, settled);
    expect(effects('reserve', call)).toBe(1);
    expect(effects('capture', call)).toBe(settlement === 'resolved as completed' ? 0 : 1);
    const [known] = await lookUp(stage, [call]);
    expect(known!.payments).toBe(settlement === 'resolved as completed' ? 0 : 1);
  });
});
