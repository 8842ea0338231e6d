/** One guarded call of a run, sent until it is answered. */

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { FinalError } from 'graphql-idempotency';
import type { CurrentAttempt, Idempotency } from 'graphql-idempotency';
import type { CallKind, PlannedCall } from './plan-call.ts';

/** What a call was answered: what it returned, or the error that it ended with. */
interface Answer {
  readonly outcome: 'executed' | 'replayed' | 'refused';
  readonly value: unknown;
}

const NOT_TODAY = 'not today';

/** What a call throws that is rolled back and forgotten. */
class ForgottenError extends Error {
  override readonly name = 'ForgottenError';
}

/** Says what of the answers was not as planned. */
export async function makeCall(
  idempotency: Pick<Idempotency<object>, 'guard'>,
  call: PlannedCall,
): Promise<readonly string[]> {
  let tries = 0;
  const send = (): Promise<Answer> => answerOf(idempotency, call, () => (tries += 1));
  const [answer, twin] = await Promise.all([send(), call.repeated === 'at-once' ? send() : undefined]);
  const complaints = [complaintOf(call, answer)];
  if (twin !== undefined && !isDeepStrictEqual(twin.value, answer.value)) {
    complaints.push(`two at once were answered differently: ${said(answer)} and ${said(twin)}`);
  }
  if (call.repeated === 'afterwards') {
    const again = await send();
    // A final error is answered the same, but is not marked.
    const isReplayed = again.outcome !== 'executed';
    if (!isReplayed || !isDeepStrictEqual(again.value, answer.value)) {
      complaints.push(`a repetition was answered ${said(again)}, not ${said(answer)}`);
    }
  }
  return complaints.flatMap((one) =>
    one === undefined ? [] : [`call ${call.index} (${call.kind}): ${one}`],
  );
}

const EXPECTED: Readonly<Record<CallKind, string | undefined>> = {
  plain: undefined,
  'undone-savepoint': undefined,
  'second-try': undefined,
  thrown: 'ForgottenError',
  final: 'FinalError',
  swallowed: 'IDEMPOTENCY_TRANSACTION_BROKEN',
};

function complaintOf({ kind }: PlannedCall, answer: Answer): string | undefined {
  const expected = EXPECTED[kind];
  const isExpected = expected === undefined ? answer.outcome !== 'refused' : answer.value === expected;
  return isExpected ? undefined : `was answered ${said(answer)}`;
}

const said = ({ outcome, value }: Answer): string => `${outcome} ${JSON.stringify(value)}`;

async function answerOf(
  idempotency: Pick<Idempotency<object>, 'guard'>,
  call: PlannedCall,
  count: () => number,
): Promise<Answer> {
  for (;;) {
    try {
      return await idempotency.guard(
        {
          name: 'pay',
          scope: 'chaos',
          key: `call-${call.index}`,
          payload: { index: call.index },
          inFlight: call.repeated === 'at-once' ? 'WAIT' : 'REJECT',
        },
        (attempt) => pay(attempt, call, count()),
      );
    } catch (error) {
      const isWorthwhile = call.kind === 'second-try' && error instanceof ForgottenError;
      if (!isWorthwhile && !isRetryable(error)) return { outcome: 'refused', value: nameOf(error) };
      // As a client would: not all the time, and not all of them together.
      await pause(20 + Math.random() * 200);
    }
  }
}

function isRetryable(error: unknown): boolean {
  return (error as { extensions?: { retryable?: unknown } }).extensions?.retryable === true;
}

function nameOf(error: unknown): string {
  const { extensions, name, message } = error as Error & { extensions?: { code?: unknown } };
  const code = extensions?.code;
  if (typeof code === 'string' && code.startsWith('IDEMPOTENCY_')) return code;
  return message === NOT_TODAY ? name : `${name}: ${message}`;
}

/** Adds the events, and writes down each with its id: what is in `paid` is what was committed. */
async function pay({ tx, outbox }: CurrentAttempt, call: PlannedCall, tries: number): Promise<unknown> {
  const { index, kind, orderingKey, topics, failsAfter } = call;
  const execution = randomUUID();
  const add = (topic: string): string =>
    outbox.add({ topic, ...(orderingKey && { key: orderingKey }), payload: { call: index, execution } });
  const isOverAt = async (place: number): Promise<boolean> =>
    place === failsAfter && (await goesWrong(tx, kind, tries));
  const undone = kind === 'undone-savepoint' ? (failsAfter - 1) % topics.length : undefined;
  // Calls of one key commit one after the other, so that the order of adding is the one of their commits.
  const first = orderingKey === undefined ? undefined : await takeNumbers(tx, orderingKey, topics.length);
  const eventIds: string[] = [];
  for (const [at, topic] of topics.entries()) {
    if (at === undone) {
      await tx.query('savepoint undone');
      add(topic);
      await tx.query('rollback to savepoint undone');
    }
    eventIds.push(add(topic));
    if (await isOverAt(at + 1)) return undefined;
  }
  await tx.query(
    `insert into paid (call, execution, ordering_key, event_id, number)
      select $1, $2, $3, event_id, $4::int + place - 1 from unnest($5::uuid[]) with ordinality as e(event_id, place)`,
    [index, execution, orderingKey ?? null, first ?? null, eventIds],
  );
  if (await isOverAt(topics.length + 1)) return undefined;
  return { execution, eventIds };
}

async function takeNumbers(tx: CurrentAttempt['tx'], orderingKey: string, count: number): Promise<number> {
  const { rows } = await tx.query<{ first: number }>(
    'update account set events = events + $2 where ordering_key = $1 returning events - $2 as first',
    [orderingKey, count],
  );
  return rows[0]!.first;
}

/** Throws, or says whether the call has to return with what it has, as if all were well. */
async function goesWrong(tx: CurrentAttempt['tx'], kind: CallKind, tries: number): Promise<boolean> {
  switch (kind) {
    case 'thrown':
      throw new ForgottenError(NOT_TODAY);
    case 'second-try':
      if (tries === 1) throw new ForgottenError(NOT_TODAY);
      return false;
    case 'final':
      throw new FinalError(NOT_TODAY);
    case 'swallowed':
      await tx.query('select 1 / 0').catch(() => {});
      return true;
    case 'plain':
    case 'undone-savepoint':
      return false;
  }
}
