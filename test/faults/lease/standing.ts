/** For use inside a child process: the calls that stand still there, each at the place that its client names. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { Server } from 'node:http';
import type { IncomingMessage } from 'node:http';

/** The header that names the place. */
export const STAND_AT = 'x-stand-at';

/** The place of a call that blocks its process within a step, instead of standing still. */
export const STALL = 'stall';

/** What the parent gets when a call stands. */
export interface Standing {
  readonly at: string;
}

const places = new AsyncLocalStorage<string | undefined>();

/** Has every request that comes know its place from now on. */
export function readPlaces(): void {
  // oxlint-disable-next-line typescript/unbound-method -- called with the server it is for
  const { emit } = Server.prototype;
  Server.prototype.emit = function (this: Server, event: string, ...args: unknown[]): boolean {
    const pass = (): boolean => Reflect.apply(emit, this, [event, ...args]) as boolean;
    if (event !== 'request') return pass();
    const place = (args[0] as IncomingMessage).headers[STAND_AT];
    return places.run(typeof place === 'string' ? place : undefined, pass);
  };
}

/** The place of the call that is under way, whether it has come there or not. */
export function placeOfCall(): string | undefined {
  return places.getStore();
}

/** Marks a place: a call that is to stand here never gets any further, and the parent hears that it is there. */
export function standAt(place: string): Promise<void> | undefined {
  if (places.getStore() !== place) return undefined;
  process.send?.({ at: place } satisfies Standing);
  return new Promise(() => {});
}
