/** Where an attempt in lease mode can be killed: between every two of its reads and writes, and what is left then. */

/** What the provider and Postgres know of an attempt when its process is dead, and what it had sent has arrived. */
export interface Left {
  readonly claimed: boolean;
  /** Whether the resolver had been called. */
  readonly ran: boolean;
  readonly reserve: StepLeft;
  readonly booked: boolean;
  readonly capture: StepLeft;
  readonly completed: boolean;
}

/** `asked`: the provider got the request, and nobody knows of it. */
type StepLeft = 'nothing' | 'asked' | 'journaled';

/** A message to Postgres. */
export interface Write {
  readonly sql: RegExp;
  /** The step that it names. */
  readonly names?: string;
}

/** How the attempt is brought to stand still there. */
type Reach =
  /** At a place in the process's own code. */
  | { readonly by: 'process' }
  /** With a message on its way to Postgres, or the answer on its way back. */
  | { readonly by: 'postgres'; readonly write: Write; readonly action: 'hold' | 'hold-answer' }
  /** With a request that the provider has not yet done, or has not yet answered. */
  | { readonly by: 'provider'; readonly step: string; readonly where: 'before' | 'after' };

export interface Point {
  readonly name: string;
  readonly reach: Reach;
  /**
   * When what was under way arrives: right after the death, while another executes the call, or when others have
   * long settled it.
   */
  readonly arrives: 'at-once' | 'meanwhile' | 'at-last';
  readonly left: Left;
}

const nothing: Left = {
  claimed: false,
  ran: false,
  reserve: 'nothing',
  booked: false,
  capture: 'nothing',
  completed: false,
};
const claimed: Left = { ...nothing, claimed: true };
const running: Left = { ...claimed, ran: true };
const reserveAsked: Left = { ...running, reserve: 'asked' };
const reserved: Left = { ...running, reserve: 'journaled' };
const booked: Left = { ...reserved, booked: true };
const captureAsked: Left = { ...booked, capture: 'asked' };
const captured: Left = { ...booked, capture: 'journaled' };
const completed: Left = { ...captured, completed: true };

const claim: Write = { sql: /\.claim_lease\(/ };
const reserveEntry: Write = { sql: /\.record_step\(/, names: 'reserve' };
const begin: Write = { sql: /\.claim\(/ };
const insert: Write = { sql: /^insert into payments/ };
const commit: Write = { sql: /\.record_step\(/, names: 'book' };
const captureEntry: Write = { sql: /\.record_step\(/, names: 'capture' };
const complete: Write = { sql: /\.complete_lease\(/ };

/** In the order in which an attempt comes by. */
export const points: readonly Point[] = [
  inProcess('before-lookup', nothing),
  inProcess('before-claim', nothing),
  ...underWay('claim', claim, nothing, claimed),
  inProcess('before-resolver', claimed),
  inProcess('before-reserve', running),
  ...atProvider('reserve', reserveAsked),
  inProcess('after-reserve', reserveAsked),
  inProcess('before-reserve-entry', reserveAsked),
  ...underWay('reserve-entry', reserveEntry, reserveAsked, reserved),
  inProcess('between-steps', reserved),
  inProcess('before-begin', reserved),
  unanswered('begin', begin, reserved),
  inProcess('before-insert', reserved),
  unanswered('insert', insert, reserved),
  inProcess('after-insert', reserved),
  inProcess('before-commit', reserved),
  ...underWay('commit', commit, reserved, booked),
  inProcess('before-capture', booked),
  ...atProvider('capture', captureAsked),
  inProcess('after-capture', captureAsked),
  inProcess('before-capture-entry', captureAsked),
  ...underWay('capture-entry', captureEntry, captureAsked, captured),
  inProcess('after-steps', captured),
  inProcess('before-complete', captured),
  ...underWay('complete', complete, captured, completed),
  inProcess('before-redis-write', completed),
  inProcess('after-redis-write', completed),
  inProcess('before-http-reply', completed),
];

function inProcess(name: string, left: Left): Point {
  return { name, reach: { by: 'process' }, arrives: 'at-once', left };
}

function unanswered(name: string, write: Write, left: Left): Point {
  return {
    name: `${name}-unanswered`,
    reach: { by: 'postgres', write, action: 'hold-answer' },
    arrives: 'at-once',
    left,
  };
}

/** A write that arrives after the death of its sender, two that are stale when they arrive, and one unanswered. */
function underWay(name: string, write: Write, before: Left, after: Left): Point[] {
  const held = { by: 'postgres', write, action: 'hold' } as const;
  return [
    { name: `${name}-late`, reach: held, arrives: 'at-once', left: after },
    { name: `${name}-stale`, reach: held, arrives: 'meanwhile', left: before },
    { name: `${name}-last`, reach: held, arrives: 'at-last', left: before },
    unanswered(name, write, after),
  ];
}

function atProvider(step: string, left: Left): Point[] {
  const before = { by: 'provider', step, where: 'before' } as const;
  return [
    { name: `${step}-late`, reach: before, arrives: 'at-once', left },
    { name: `${step}-stale`, reach: before, arrives: 'meanwhile', left },
    {
      name: `${step}-unanswered`,
      reach: { ...before, where: 'after' },
      arrives: 'at-once',
      left,
    },
  ];
}
