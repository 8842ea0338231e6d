/**
 * What processes note of what they see, in files that outlive them: neither Postgres nor the broker, which are what is
 * judged. All write to the end of the same file, so its order is the order in which they wrote.
 */

import { appendFileSync, readFileSync } from 'node:fs';

/** A delivery that a consumer got. */
export interface Seen {
  readonly eventId: string;
  /** Which execution of the call the payload says that it comes from. */
  readonly execution: string;
}

/** `begun`: a relay is about to hand the event to the broker. `confirmed`: the broker has said that it has it. */
export interface Publication {
  readonly what: 'begun' | 'confirmed';
  readonly eventId: string;
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const SEEN = new RegExp(`^(${UUID}) (${UUID})$`);
const PUBLICATION = new RegExp(`^([bc]) (${UUID})$`);

/** Synchronously, because the process may be killed the moment after. */
export function noteSeen(file: string, { eventId, execution }: Seen): void {
  append(file, [`${eventId} ${execution}`]);
}

export function notePublications(file: string, what: Publication['what'], eventIds: readonly string[]): void {
  if (eventIds.length > 0)
    append(
      file,
      eventIds.map((id) => `${what === 'begun' ? 'b' : 'c'} ${id}`),
    );
}

export function readSeen(file: string): Seen[] {
  return linesOf(file).flatMap((line) => {
    const [, eventId, execution] = SEEN.exec(line) ?? [];
    return eventId === undefined ? [] : [{ eventId, execution: execution! }];
  });
}

export function readPublications(file: string): Publication[] {
  return linesOf(file).flatMap((line) => {
    const [, what, eventId] = PUBLICATION.exec(line) ?? [];
    return eventId === undefined ? [] : [{ what: what === 'b' ? 'begun' : 'confirmed', eventId }];
  });
}

/** A kill may cut the last line short: the next begins a new one, and what is cut short is no line of ours. */
function append(file: string, lines: readonly string[]): void {
  appendFileSync(file, `\n${lines.join('\n')}\n`);
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8').split('\n');
}
