/**
 * Everything that can happen next: what the guard, the recovery and an operator do, a network that loses,
 * delays and repeats, crashes, the sweeper and the clock.
 */

import { IDLE, freshName, sameMessage } from './lease-world.ts';
import type { Actor, Kind, Message, ModelRow, World } from './lease-world.ts';
import { LEASE, Violation, decisionOn, isListed } from './lease-store-model.ts';
import type { Applied, Apply } from './lease-store-model.ts';

export interface Rules {
  readonly abandoned: 'REFUSE' | 'RERUN';
  readonly maxAttempts: number;
  /** How many steps a resolver has. */
  readonly steps: number;
  /** How many messages can be late at once. */
  readonly late: number;
}

export interface Moves {
  readonly rules: Rules;
  readonly apply: Apply;
  /** Told of each decision that a call made. */
  readonly onDecision: (kind: string) => void;
  /** Told what may happen next, and how. */
  readonly emit: (world: World, move: string) => void;
}

/** Tells every moment that may follow. @throws Violation */
export function moves(world: World, context: Moves): void {
  for (const index of [0, 1] as const) {
    const actor = world.actors[index];
    if (actor.role === 'idle') begin(world, index, context);
    else {
      if (actor.role === 'running' || actor.role === 'finding-out') work(world, index, context);
      if (actor.sent !== undefined) answer(world, index, actor.sent, context);
    }
  }
  for (const message of world.late) {
    const { row } = context.apply(world.row, message);
    if (row !== world.row) context.emit({ ...world, row }, `late ${message.kind}`);
    context.emit({ ...world, late: world.late.filter((one) => one !== message) }, 'lost');
  }
  const swept = context.apply(world.row, 'sweep');
  if (swept.accepted) context.emit({ ...world, row: swept.row }, 'sweep');
  context.emit(later(world), 'tick');
}

type Index = 0 | 1;

/** A retry of the client, or somebody who settles what is abandoned: in the background, or by hand. */
function begin(world: World, index: Index, { emit }: Moves): void {
  const fence = freshName(world);
  emit(withActor(world, index, asking(messageOf('claim', fence))), 'call');
  if (isListed(world.row)) {
    const takeOver = messageOf('take-over', fence, { seen: world.row.fence });
    emit(withActor(world, index, asking(takeOver)), 'find out');
  }
}

/** The resolver, or the callback that finds out; renewals go on beside whatever else is under way. */
function work(world: World, index: Index, context: Moves): void {
  const { emit, apply, rules } = context;
  const actor = world.actors[index];
  const { fence } = actor;
  // It may also be paused for as long as it likes: that is, not move.
  emit(withActor(world, index, IDLE), 'crash');
  const renewal = messageOf('renew', fence);
  const { accepted, row } = apply(world.row, renewal);
  // One that is refused tells its holder that the lease is lost: it ends, and writes nothing.
  const next = accepted ? { ...actor, alive: LEASE } : IDLE;
  emit({ ...withActor(world, index, next), row }, 'renew');
  if (row !== world.row) emit({ ...world, row }, 'renew, unanswered');
  withLate(world, [renewal], rules, (delayed) => emit(delayed, 'renew, late'));
  if (actor.sent !== undefined) return;

  const end = (message: Message): void =>
    emit(withActor(world, index, { ...IDLE, role: 'ending', fence, sent: message }), `end: ${message.kind}`);
  end(messageOf('complete', fence));
  end(messageOf('abandon', fence));
  end(messageOf('release', fence, { flag: actor.role === 'finding-out' }));
  if (actor.role === 'finding-out') return;
  for (let step = 0; step < rules.steps; step += 1) {
    if ((actor.known & (1 << step)) !== 0) continue;
    emit(withActor(world, index, { ...actor, sent: messageOf('record-step', fence, { step }) }), 'step');
  }
}

/** What may become of a message and its answer. */
function answer(world: World, index: Index, sent: Message, context: Moves): void {
  const { apply, rules } = context;
  const applied = apply(world.row, sent);
  const arrived = { ...world, row: applied.row };
  const answered = (from: World): void => afterAnswer(from, index, sent, applied, context);
  const unanswered = (from: World): void => afterSilence(from, index, sent, context);
  answered(arrived);
  if (applied.accepted) unanswered(arrived);
  unanswered(world);
  // A claim is sent once: it is late where it was given up. A holder's writes are sent until one is answered.
  if (sent.kind !== 'claim') withLate(arrived, [sent], rules, answered);
  if (applied.accepted) withLate(arrived, [sent], rules, unanswered);
  withLate(world, [sent], rules, unanswered);
}

function afterAnswer(world: World, index: Index, sent: Message, { accepted }: Applied, context: Moves): void {
  const { emit } = context;
  const actor = world.actors[index];
  const become = (next: Actor, row = world.row): void =>
    emit({ ...withActor(world, index, next), row }, `${sent.kind} answered`);
  const idle = (): void => become(IDLE);
  switch (sent.kind) {
    case 'claim':
      return accepted ? run(0) : decideOn(world, index, context);
    case 'take-over':
      if (!accepted) return idle();
      return sent.flag
        ? run(knownOf(world.row!))
        : become({ ...actor, role: 'finding-out', sent: undefined });
    case 'record-step':
      assertOnlyLost();
      return become({
        ...actor,
        sent: undefined,
        known: accepted ? actor.known | (1 << sent.step) : actor.known,
      });
    case 'complete':
      // Refused, it asks who has completed it: it may have been itself.
      if (!accepted && isOwn() && world.row?.state !== 'completed')
        throw new Violation('a holder could not complete');
      return idle();
    default:
      return idle();
  }

  function run(known: number): void {
    const row = world.row!;
    become({ ...actor, role: 'running', sent: undefined, known }, { ...row, runs: row.runs + 1 });
  }

  function isOwn(): boolean {
    return world.row?.fence === sent.fence;
  }

  function assertOnlyLost(): void {
    if (!accepted && isOwn() && world.row?.state === 'pending')
      throw new Violation('a step was recorded that its attempt had not been told of');
  }
}

/** It may send what may safely arrive twice again, or give up and see to it that nobody has to wait for it. */
function afterSilence(world: World, index: Index, sent: Message, { emit, rules }: Moves): void {
  const actor = world.actors[index];
  const give = (next: Actor): void => emit(withActor(world, index, next), `${sent.kind} unanswered`);
  switch (sent.kind) {
    case 'claim':
    case 'take-over': {
      const undo = sent.kind === 'claim' ? 'release' : 'abandon';
      withLate(withActor(world, index, IDLE), [messageOf(undo, sent.fence)], rules, (undone) =>
        emit(undone, `${sent.kind} undone`),
      );
      return give(IDLE);
    }
    case 'record-step':
      give(actor);
      return give({ ...actor, sent: undefined });
    default:
      give(actor);
      return give(IDLE);
  }
}

/** What a call does whose claim was refused. */
function decideOn(world: World, index: Index, { emit, rules, onDecision }: Moves): void {
  const { row } = world;
  const decision = decisionOn(row, false);
  onDecision(decision.kind);
  switch (decision.kind) {
    case 'abandoned': {
      const may = rules.abandoned === 'RERUN' && decision.attempt < rules.maxAttempts;
      const next = may
        ? asking(messageOf('take-over', freshName(world), { seen: Number(decision.fence), flag: true }))
        : IDLE;
      return emit(withActor(world, index, next), 'met an abandoned attempt');
    }
    case 'replay':
      if (row?.state !== 'completed' || row.expires === 0) throw new Violation('nothing was replayed');
      break;
    case 'busy':
      if (row?.state !== 'pending' || row.lease === 0) throw new Violation('nobody was at work');
      break;
    case 'expired':
      break;
    default:
      throw new Violation(`a call was told ${decision.kind}`);
  }
  emit(withActor(world, index, IDLE), decision.kind);
}

/** The clock moves on. */
function later(world: World): World {
  const { row, actors } = world;
  const less = (left: number): number => Math.max(0, left - 1);
  const actor = (one: Actor): Actor => (one.alive === 0 ? one : { ...one, alive: less(one.alive) });
  const newRow = row && {
    ...row,
    lease: less(row.lease),
    expires: less(row.expires),
    takeover: less(row.takeover),
  };
  return { ...world, row: newRow, actors: [actor(actors[0]), actor(actors[1])] };
}

function withActor(world: World, index: Index, actor: Actor): World {
  const { actors } = world;
  return { ...world, actors: index === 0 ? [actor, actors[1]] : [actors[0], actor] };
}

/** With the messages under way for good, where there is room for them. */
function withLate(
  world: World,
  messages: readonly Message[],
  { late: room }: Rules,
  go: (world: World) => void,
): void {
  const added = messages.filter((message) => !world.late.some((one) => sameMessage(one, message)));
  if (added.length === 0 || world.late.length + added.length > room) return;
  go({ ...world, late: [...world.late, ...added] });
}

function asking(message: Message): Actor {
  return { role: 'asking', sent: message, fence: message.fence, alive: LEASE, known: 0 };
}

function knownOf({ steps }: ModelRow): number {
  return steps.reduce((known, by, step) => (by === 0 ? known : known | (1 << step)), 0);
}

function messageOf(
  kind: Kind,
  fence: number,
  { seen = 0, flag = false, step = 0 }: { seen?: number; flag?: boolean; step?: number } = {},
): Message {
  return { kind, fence, seen, flag, step };
}
