/** The statements of lease mode do what the pure state machine says, whatever is sent, and when, and how often. */

import fc from 'fast-check';
import pg from 'pg';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { write } from '../../../src/record/lease.ts';
import type { Row, Write } from '../../../src/record/lease.ts';
import type { CompletedRecord, Fence, StoredRecord } from '../../../src/record/record.ts';
import type { Outcome } from '../../../src/store/lease-port.ts';
import { statementsFor } from '../../../src/store/postgres/statements.ts';
import { createDatabase } from '../../support/database.ts';
import { completed, newIdentity } from './functions.ts';
import {
  LEASE_MS,
  MINUTE_MS,
  RESULT,
  TOMBSTONE_MS,
  TTL_MS,
  abandon,
  age,
  claimLease,
  completeLease,
  read,
  recordStep,
  releaseLease,
  renew,
  send,
  takeOver,
  termsOf,
} from './lease-sql.ts';

let client: Client;
beforeAll(async () => {
  client = new pg.Client({ connectionString: (await createDatabase({ migrated: true })).url });
  await client.connect();
});
afterAll(() => client.end());

const FENCES = ['0', '1', '4611686018427387904', '9223372036854775807'].map((text) => text as Fence);
const ASKED = { fingerprintVersion: 1, fingerprint: Buffer.alloc(32, 3) };
const OUTCOMES: readonly Outcome[] = [
  RESULT,
  { outcome: 'error', codecVersion: 2, body: Buffer.alloc(0) },
  { outcome: 'omitted', codecVersion: 1, body: undefined },
];

type Kind = Write['kind'];

interface Command {
  readonly kind: Kind | 'age';
  /** Which fence it carries; 4 and above: the one that is in the row. */
  readonly fence: number;
  readonly seen: number;
  readonly flag: boolean;
  readonly step: 'one' | 'two';
  readonly outcome: number;
  readonly minutes: number;
  /** Whether the same message arrives again. */
  readonly again: boolean;
}

const command: fc.Arbitrary<Command> = fc.record({
  kind: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('claim', 'take-over', 'age') },
    {
      weight: 2,
      arbitrary: fc.constantFrom('renew', 'record-step', 'complete', 'release', 'abandon', 'sweep'),
    },
  ) as fc.Arbitrary<Command['kind']>,
  fence: fc.nat(9),
  seen: fc.nat(9),
  flag: fc.boolean(),
  step: fc.constantFrom('one', 'two'),
  outcome: fc.nat(OUTCOMES.length - 1),
  minutes: fc.constantFrom(15, 45, 60, 75, 180),
  again: fc.boolean(),
});

const HOLDER = 1;
const OWN = 4;
const one = (kind: Command['kind'], more: Partial<Command> = {}): Command => ({
  kind,
  fence: OWN,
  seen: OWN,
  flag: true,
  step: 'one',
  outcome: 0,
  minutes: 180,
  again: false,
  ...more,
});
const claim = one('claim', { fence: HOLDER });
const byAnother = (kind: Command['kind']): Command => one(kind, { fence: HOLDER + 1, seen: HOLDER + 1 });
const completion = one('complete', { again: true });

/** Holders do what they may, and others try the same. */
const EXAMPLES: [Command[], boolean][] = [
  [
    [
      claim,
      byAnother('claim'),
      byAnother('renew'),
      one('renew'),
      byAnother('record-step'),
      one('record-step'),
    ],
    false,
  ],
  [[claim, byAnother('complete'), completion, one('age'), one('age'), one('age'), one('sweep')], false],
  [[claim, byAnother('release'), one('release'), claim, byAnother('abandon'), one('abandon')], false],
  [[claim, byAnother('take-over'), one('sweep'), one('age'), one('take-over', { fence: 2 })], false],
];

/** What the state machine says, on a clock that only `age` moves. */
interface Model {
  row: Row | undefined;
  clockMs: number;
  /** Who completed the record, for a completion that is sent again. */
  completedBy: Fence | undefined;
}

const covered = new Set<string>();

test('drawn at random', { timeout: 60_000 }, async () => {
  const sequence = fc.array(command, { minLength: 5, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(sequence, fc.boolean(), async (commands, afterTransactionMode) => {
      const identity = newIdentity();
      await client.query('delete from graphql_idempotency.record');
      const model: Model = { row: undefined, clockMs: 0, completedBy: undefined };
      if (afterTransactionMode) await beginWithAnother(identity, model);
      for (const one of commands) {
        if (one.kind === 'age') {
          await age(client, identity, one.minutes * MINUTE_MS);
          model.clockMs += one.minutes * MINUTE_MS;
        } else {
          const intent = intentOf(one, model);
          for (let times = one.again ? 2 : 1; times > 0; times -= 1) await same(identity, model, intent);
        }
      }
    }),
    // Each kind accepted and refused at least once, whatever is drawn.
    { numRuns: 70, examples: EXAMPLES },
  );
  const kinds = ['claim', 'take-over', 'renew', 'record-step', 'complete', 'release', 'abandon', 'sweep'];
  expect([...covered].toSorted()).toEqual(
    kinds.flatMap((kind) => [`${kind} accepted`, `${kind} refused`]).toSorted(),
  );
});

/** The key has a record of transaction mode. */
async function beginWithAnother(identity: Buffer, model: Model): Promise<void> {
  await completed(client, identity, {
    ttlMs: TTL_MS,
    tombstoneMs: TOMBSTONE_MS,
  });
  model.row = { record: recordOf({ ...RESULT, body: Buffer.from('body') }, 0), steps: [] };
}

function intentOf({ kind, fence, seen, flag, step, outcome }: Command, model: Model): Write {
  const record = model.row?.record;
  const current = record === undefined || record.state === 'completed' ? model.completedBy : record.fence;
  const fenceAt = (index: number): Fence => FENCES[index] ?? current ?? FENCES[0]!;
  const own = { fence: fenceAt(fence) };
  switch (kind) {
    case 'claim':
      return { kind, ...own, ...ASKED, leaseMs: LEASE_MS };
    case 'take-over':
      return { kind, seen: fenceAt(seen), fence: FENCES[fence % 4]!, leaseMs: LEASE_MS, rerun: flag };
    case 'renew':
      return { kind, ...own, leaseMs: LEASE_MS };
    case 'record-step':
      return { kind, ...own, name: step };
    case 'complete':
      return { kind, ...own, answer: recordOf(OUTCOMES[outcome]!, model.clockMs) };
    case 'release':
      return { kind, ...own, settled: flag };
    case 'abandon':
      return { kind, ...own };
    default:
      return { kind: 'sweep' };
  }
}

/** Sends one write to both, and compares what they say and what they leave. */
async function same(identity: Buffer, model: Model, intent: Write): Promise<void> {
  const written = write(model.row, intent, model.clockMs);
  const accepted = written !== 'refused';
  covered.add(`${intent.kind} ${accepted ? 'accepted' : 'refused'}`);
  const before = model.row;
  if (accepted) model.row = written.row;

  const said = await sendTo(identity, intent, before);
  expect(said, intent.kind).toEqual(expectedAnswer(intent, before, model, accepted));
  if (accepted && intent.kind === 'complete') model.completedBy = intent.fence;
  if (model.row?.record.state !== 'completed') model.completedBy = undefined;

  const { row, clockMs } = await read(client, identity);
  expect(comparable(row, clockMs), intent.kind).toEqual(comparable(model.row, model.clockMs));
}

async function sendTo(identity: Buffer, intent: Write, before: Row | undefined): Promise<unknown> {
  switch (intent.kind) {
    case 'claim': {
      const { granted, existing } = await claimLease(client, intent.fence, termsOf(identity));
      return { granted, existing: existing?.state };
    }
    case 'take-over':
      return takeOver(client, intent.fence, { identity, ...intent });
    case 'renew':
      return renew(client, { identity, ...intent });
    case 'record-step':
      return recordStep(client, { identity, ...intent }, intent.name).catch(
        ({ code }: { code?: string }) => code,
      );
    case 'complete': {
      const { outcome, codecVersion, body } = intent.answer;
      const answer = { outcome, codecVersion, body: body ?? undefined };
      const hasSteps = before !== undefined && before.steps.length > 0;
      return (await completeLease(client, { identity, ...intent }, answer, hasSteps)).completed_ms !== null;
    }
    case 'release':
      return releaseLease(client, { identity, ...intent }, intent.settled);
    case 'abandon':
      return abandon(client, { identity, ...intent });
    case 'sweep':
      return (await send(client, statementsFor('graphql_idempotency').remove(10))).count > 0;
  }
}

function expectedAnswer(
  intent: Write,
  before: Row | undefined,
  { row, completedBy }: Model,
  accepted: boolean,
): unknown {
  switch (intent.kind) {
    case 'claim':
      return { granted: accepted, existing: accepted ? undefined : before?.record.state };
    case 'take-over': {
      if (!accepted || row === undefined || row.record.state === 'completed') return undefined;
      return { attempt: row.record.attempt, steps: row.steps.map(({ name }) => name) };
    }
    case 'record-step': {
      if (accepted) return before!.steps.every(({ name }) => name !== intent.name);
      return before?.record.state === 'pending' && before.record.fence === intent.fence ? 'GI004' : 'GI003';
    }
    case 'complete':
      return accepted || completedBy === intent.fence;
    case 'release':
      if (!accepted) return null;
      return row === undefined;
    default:
      return accepted;
  }
}

function recordOf({ outcome, codecVersion, body }: Outcome, clockMs: number): CompletedRecord {
  const expiresMs = clockMs + TTL_MS;
  return {
    ...ASKED,
    state: 'completed',
    outcome,
    codecVersion,
    encryptionKeyId: null,
    body: body ?? null,
    completedMs: clockMs,
    expiresMs,
    takeoverMs: expiresMs + TOMBSTONE_MS,
  };
}

/** With times in minutes from now: the statements take a moment. */
function comparable(row: Row | undefined, clockMs: number): unknown {
  if (row === undefined) return undefined;
  const minutes = ([name, value]: [string, unknown]): [string, unknown] => [
    name,
    name.endsWith('Ms') ? Math.round(((value as number) - clockMs) / MINUTE_MS) + 0 : value,
  ];
  const entries = Object.entries(row.record satisfies StoredRecord).map(minutes);
  return { record: Object.fromEntries(entries), steps: row.steps };
}
