/**
 * One moment of the model: the row, two actors, and messages that are late. Clocks count down, and fences are
 * named in the order in which a moment mentions them, so that there are finitely many moments.
 */

/** A fence: a small number, 0 for none. */
export type Name = number;

export type Kind = 'claim' | 'take-over' | 'renew' | 'record-step' | 'complete' | 'release' | 'abandon';

export interface Message {
  readonly kind: Kind;
  readonly fence: Name;
  /** Of a take-over: which fence was seen. */
  readonly seen: Name;
  /** Of a take-over: `rerun`; of a release: `settled`. */
  readonly flag: boolean;
  /** Of a step. */
  readonly step: number;
}

/** An actor is a call in some process, or whoever finds out about an abandoned attempt. */
export interface Actor {
  readonly role: 'idle' | 'asking' | 'running' | 'finding-out' | 'ending';
  /** What it waits for the answer of. */
  readonly sent: Message | undefined;
  readonly fence: Name;
  /** For how long, as its own clock has it, nobody else can have taken its lease over. */
  readonly alive: number;
  /** The steps that it has been told are recorded, as bits. */
  readonly known: number;
}

export interface ModelRow {
  readonly state: 'pending' | 'unknown' | 'completed';
  /** A completed record keeps the fence that completed it, so that its completion may be sent again. */
  readonly fence: Name;
  readonly attempt: number;
  /** How long the lease still lasts. */
  readonly lease: number;
  /** By step: the fence that recorded it. */
  readonly steps: readonly Name[];
  readonly expires: number;
  readonly takeover: number;
  /** No field of the row, but of the model: how often the resolver was begun since this row was made. */
  readonly runs: number;
}

export interface World {
  readonly row: ModelRow | undefined;
  readonly actors: readonly [Actor, Actor];
  /** Sent, given up or answered, and on the way all the same: each may arrive at any time, as often as it likes. */
  readonly late: readonly Message[];
}

export const IDLE: Actor = { role: 'idle', sent: undefined, fence: 0, alive: 0, known: 0 };

export const EMPTY_WORLD: World = { row: undefined, actors: [IDLE, IDLE], late: [] };

export const KINDS = [
  'claim',
  'take-over',
  'renew',
  'record-step',
  'complete',
  'release',
  'abandon',
] as const;
const ROLES = ['idle', 'asking', 'running', 'finding-out', 'ending'] as const;
const STATES = ['pending', 'unknown', 'completed'] as const;

/** Which of the actors is which makes no difference: whether they have to change places. */
export function isSwapped({ actors: [one, two] }: World): boolean {
  return rankOf(one) > rankOf(two);
}

/** The same moment, with its fences named anew. */
export function renamed({ row, actors, late }: World, swapped: boolean): World {
  const name = namer();
  const message = (one: Message): Message => ({ ...one, fence: name(one.fence), seen: name(one.seen) });
  const actor = (one: Actor): Actor => {
    const fence = name(one.fence);
    return { ...one, fence, sent: one.sent && message(one.sent) };
  };
  const newRow = row && { ...row, fence: name(row.fence), steps: row.steps.map(name) };
  const [one, two] = swapped ? [actors[1], actors[0]] : actors;
  const newActors = [actor(one), actor(two)] as const;
  return { row: newRow, actors: newActors, late: sorted(late, name).map(message) };
}

/** A fence that this moment does not mention. */
export function freshName({ row, actors, late }: World): Name {
  let highest = row === undefined ? 0 : Math.max(row.fence, ...row.steps);
  for (const { fence, sent } of actors) highest = Math.max(highest, fence, sent?.fence ?? 0, sent?.seen ?? 0);
  for (const { fence, seen } of late) highest = Math.max(highest, fence, seen);
  return highest + 1;
}

export function sameMessage(one: Message, two: Message): boolean {
  return (
    one.kind === two.kind &&
    one.fence === two.fence &&
    one.seen === two.seen &&
    one.flag === two.flag &&
    one.step === two.step
  );
}

type Namer = (name: Name) => Name;

function namer(): Namer {
  const names: Name[] = [0];
  let last = 0;
  return (name) => (names[name] ??= last += 1);
}

const codes = new Uint16Array(96);

/** The name of a moment: two that differ only in what their fences or their actors are called mostly have one. */
export function keyOf({ row, actors, late }: World, swapped: boolean): string {
  const name = namer();
  let length = 0;
  if (row === undefined) {
    codes[length++] = 9;
  } else {
    codes[length++] = STATES.indexOf(row.state);
    codes[length++] = name(row.fence);
    codes[length++] = row.attempt * 8 + row.lease;
    codes[length++] = row.expires * 8 + row.takeover;
    codes[length++] = row.runs;
    for (const by of row.steps) codes[length++] = name(by);
  }
  addActor(actors[swapped ? 1 : 0]);
  addActor(actors[swapped ? 0 : 1]);
  for (const message of sorted(late, name)) addMessage(message);
  return String.fromCharCode.apply(null, codes.subarray(0, length) as unknown as number[]);

  function addActor(actor: Actor): void {
    codes[length++] = rankOf(actor);
    codes[length++] = name(actor.fence);
    if (actor.sent !== undefined) addMessage(actor.sent);
  }

  function addMessage(message: Message): void {
    codes[length++] = 64 + rankOfMessage(message);
    codes[length++] = name(message.fence);
    codes[length++] = name(message.seen);
  }
}

/** In an order that does not depend on the names of fences which only late messages mention. */
function sorted(late: readonly Message[], name: Namer): readonly Message[] {
  if (late.length < 2) return late;
  const ranked = late.toSorted(
    (one, two) => rankOfMessage(one) - rankOfMessage(two) || one.fence - two.fence || one.seen - two.seen,
  );
  for (const { fence, seen } of ranked) {
    name(fence);
    name(seen);
  }
  return ranked;
}

/** Everything of an actor but its fences. */
function rankOf({ role, alive, known, sent }: Actor): number {
  const message = sent === undefined ? 0 : 1 + rankOfMessage(sent);
  return ((ROLES.indexOf(role) * 4 + alive) * 4 + known) * 64 + message;
}

function rankOfMessage({ kind, flag, step }: Message): number {
  return KINDS.indexOf(kind) * 4 + Number(flag) * 2 + step;
}
