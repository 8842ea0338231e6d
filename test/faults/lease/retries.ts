/** What clients, an operator and the dead process's last messages do after a kill, and what must come of it. */

import { check, namesIdentity } from './call.ts';
import type { Call } from './call.ts';
import { lookUp } from './ledger.ts';
import type { Left, Point } from './points.ts';
import { counter } from './counter.ts';
import { callTransfer } from './stage.ts';
import type { Answered, Stage } from './stage.ts';
import type { TransferChild } from './transfer-child.ts';
import type { Transfer } from './transfer.ts';

/** Every so many-th key is settled by the operator as done, with a result; the others as not done. */
const COMPLETED_EVERY = 5;
/** Every so many-th key is taken over by two services, and is replayed by both. */
const RIVAL_EVERY = 2;

/** Retries every call until it is settled, lets in what comes last, and holds all of it to the promises. */
export async function settle(
  stage: Stage,
  {
    point: { left, arrives },
    calls,
    child,
    letIn,
  }: {
    readonly point: Point;
    readonly calls: readonly Call[];
    readonly child: TransferChild;
    /** Resolves when what was under way at the death has arrived. */
    readonly letIn: () => Promise<void>;
  },
): Promise<void> {
  // Of a completed call there is nothing left to settle; no point of that kind has one.
  if (arrives === 'meanwhile') letInMeanwhile(stage, left, calls, letIn);
  await Promise.all(calls.map((call) => retry(stage, left, call)));
  if (arrives === 'at-last') await letIn();
  await Promise.all(calls.map((call) => replay(stage, call)));

  const known = await lookUp(stage, calls);
  for (const [index, call] of calls.entries()) {
    const promised = promisedOf(left, call);
    const { payments, ...asked } = known[index]!;
    check(call, 'its record', [asked.record, asked.journal], ['completed', '']);
    check(call, 'rows of payments', payments, promised.payments);
    for (const [step, times] of [
      ['reserve', promised.reserve],
      ['capture', promised.capture],
    ] as const) {
      check(call, `requests of ${step}`, stage.provider.count('asked', step, call.note), times.asked);
      check(call, `effects of ${step}`, stage.provider.count('done', step, call.note), times.done);
    }
    const runsIn = (runs: readonly { note: string }[]) =>
      runs.filter(({ note }) => note === call.note).length;
    check(call, 'runs in the dead process', runsIn(child.runs()), left.ran ? 1 : 0);
    check(call, 'runs in the one that lives', runsIn(stage.runs), promised.executes ? 1 : 0);
  }
}

/**
 * What was under way arrives when all of them are executing elsewhere, or settled by the operator: before that,
 * a late completion would be right.
 */
function letInMeanwhile(
  { meanwhile }: Stage,
  left: Left,
  calls: readonly Call[],
  letIn: () => Promise<void>,
): void {
  const others = counter();
  const isIn = others.reach(calls.length).then(letIn);
  for (const call of calls) {
    meanwhile.set(call.note, () => {
      others.add();
      // What an operator has settled need not wait: nothing more happens to it.
      return resolutionOf(left, call) === 'completed' ? Promise.resolve() : isIn;
    });
  }
}

async function retry(stage: Stage, left: Left, call: Call): Promise<void> {
  const { policy, note } = call;
  const isTakenOver = policy === 'RERUN' && left.claimed && !left.completed;
  const first =
    isTakenOver && call.index % RIVAL_EVERY === 0
      ? await takeOverWithRival(stage, call)
      : await callTransfer(stage.living.url, policy, note);
  if (resolutionOf(left, call) !== undefined) {
    check(call, 'the first retry', first.outcome, 'IDEMPOTENCY_OUTCOME_UNKNOWN');
    return resolve(stage, left, call);
  }
  check(call, 'the first retry', first.outcome, left.completed ? 'replayed' : 'executed');
  check(call, 'attempt', first.transfer?.attempt, left.claimed && !left.completed ? 2 : 1);
  call.transfer = first.transfer;
}

/** Has a rival's takeover arrive when the first one has executed: it was right when it was sent. */
async function takeOverWithRival({ living, rival, rivalProxy }: Stage, call: Call): Promise<Answered> {
  const takeover = rivalProxy.on(
    { from: 'client', sql: /set\s+fence\s*=/, where: (message) => namesIdentity(message, call) },
    'hold',
  );
  const late = callTransfer(rival.url, call.policy, call.note);
  const sooner = await Promise.race([takeover.matched.then(() => undefined), late]);
  check(call, 'what the rival got before it took over', sooner, undefined);
  const first = await callTransfer(living.url, call.policy, call.note);
  takeover.release();
  check(call, 'what the rival got', (await late).outcome, 'IDEMPOTENCY_IN_PROGRESS');
  return first;
}

/** As an operator does who has looked it up, or who says that nothing was done. */
async function resolve({ living, runs, provider, meanwhile }: Stage, left: Left, call: Call): Promise<void> {
  const { identity, note, policy } = call;
  check(
    call,
    'runs before it was resolved',
    runs.some((run) => run.note === note),
    false,
  );
  for (const step of ['reserve', 'capture'] as const) {
    const asked = provider.count('asked', step, note);
    check(call, `requests of ${step} before it was resolved`, asked, left[step] === 'nothing' ? 0 : 1);
  }
  const hex = identity.toString('hex');
  if (resolutionOf(left, call) === 'completed') {
    const result: Transfer = { note, reserved: 'found', payment: 0, captured: 'found', attempt: 1 };
    check(
      call,
      'resolve',
      await living.idempotency.resolve(hex, { outcome: 'completed', result }),
      'resolved',
    );
    const { outcome, transfer } = await callTransfer(living.url, policy, note);
    check(call, 'after it was resolved', outcome, 'replayed');
    await meanwhile.get(note)?.();
    check(call, 'the replay of what the operator found', transfer, result);
    call.transfer = transfer;
    return;
  }
  check(call, 'resolve', await living.idempotency.resolve(hex, { outcome: 'not-executed' }), 'resolved');
  const { outcome, transfer } = await callTransfer(living.url, policy, note);
  check(call, 'after it was resolved', outcome, 'executed');
  check(call, 'attempt', transfer?.attempt, 1);
  call.transfer = transfer;
}

async function replay({ living, rival }: Stage, call: Call): Promise<void> {
  // From Postgres, and from Redis, where the winner has put it.
  for (const { url } of call.index % RIVAL_EVERY === 0 ? [rival, living] : [rival]) {
    const { outcome, transfer } = await callTransfer(url, call.policy, call.note);
    check(call, 'the last retry', outcome, 'replayed');
    check(call, 'its answer', transfer, call.transfer);
  }
}

/** How an operator settles it, where one has to. */
function resolutionOf(
  { claimed, completed }: Left,
  { policy, index }: Call,
): 'completed' | 'not-executed' | undefined {
  if (policy === 'RERUN' || !claimed || completed) return undefined;
  return index % COMPLETED_EVERY === COMPLETED_EVERY - 1 ? 'completed' : 'not-executed';
}

/** How often everything was to be done, all in all. */
function promisedOf(left: Left, call: Call) {
  const resolved = resolutionOf(left, call);
  const executes = resolved === undefined ? !left.completed : resolved === 'not-executed';
  // An operator's word removes the journal: the field runs from its start, with the same keys.
  const journalCounts = resolved === undefined;
  const askedBefore = (step: 'reserve' | 'capture') => (left[step] === 'nothing' ? 0 : 1);
  const asked = (step: 'reserve' | 'capture') => {
    const again = executes && !(journalCounts && left[step] === 'journaled');
    const times = askedBefore(step) + (again ? 1 : 0);
    return { asked: times, done: times > 0 ? 1 : 0 };
  };
  const bookedBefore = left.booked ? 1 : 0;
  const booksAgain = executes && !(journalCounts && left.booked);
  return {
    executes,
    reserve: asked('reserve'),
    capture: asked('capture'),
    payments: bookedBefore + (booksAgain ? 1 : 0),
  };
}
