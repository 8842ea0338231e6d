/**
 * What was set on a client's own connection, in the form that holds to the end of a transaction: inside an attempt
 * the client speaks through another connection, where its schema, role or time zone must be the same.
 */

import { statementsIn } from '../sql-commands.ts';

/** By client: statements by the setting's name, in the order in which they were last said. */
const settings = new WeakMap<object, Map<string, string>>();

/** Remembers the settings in a text of nothing but such commands. */
export function noteSettings(client: object, text: string): void {
  let own = settings.get(client);
  if (own === undefined) settings.set(client, (own = new Map()));
  for (const { words, rest } of statementsIn(text)) note(own, words, rest.trim());
}

/** The client's settings as one text; `undefined` where it has none. */
export function localSettings(client: object): string | undefined {
  const own = settings.get(client);
  // On lines of their own: one may end with a comment, which would take the next one with it.
  return own === undefined || own.size === 0 ? undefined : [...own.values()].join('\n; ');
}

const NAME = /^(?:time\s+zone|session\s+authorization|"[^"]*"(?:\."[^"]*")*|[\w.$]+)/i;

function note(own: Map<string, string>, [command, second, third]: readonly string[], rest: string): void {
  // LISTEN, and the rest of DISCARD, hold for the connection alone.
  if ((command === 'DISCARD' || command === 'RESET') && second === 'ALL') {
    for (const name of own.keys()) own.set(name, reset(name));
  } else if (command === 'RESET') {
    const name = nameIn(rest);
    remember(own, name, reset(name));
  } else if (command === 'SET' && third !== 'CHARACTERISTICS') {
    const assigned =
      second === 'SESSION' && third !== 'AUTHORIZATION' ? rest.slice('session'.length).trim() : rest;
    remember(own, nameIn(assigned), `set local ${assigned}`);
  }
}

function nameIn(assigned: string): string {
  return (NAME.exec(assigned)?.[0] ?? assigned).toLowerCase().replaceAll(/\s+/g, ' ');
}

function reset(name: string): string {
  if (name === 'role') return 'set local role none';
  return name === 'session authorization'
    ? 'set local session authorization default'
    : `set local ${name} to default`;
}

function remember(own: Map<string, string>, name: string, statement: string): void {
  // Last said, last done: an authorization resets the role that was set before it.
  own.delete(name);
  own.set(name, statement);
}
