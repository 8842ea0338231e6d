/** A link that ends the chain and emits what the test says, when it says so. */

import { ApolloLink, Observable } from '@apollo/client';
import type { Subscriber } from 'rxjs';

/** One time that the operation came to the end of the chain. */
export interface Arrival {
  readonly operation: ApolloLink.Operation;
  readonly observer: Subscriber<ApolloLink.Result>;
  /** Whether whoever asked wants no more of it. */
  left: boolean;
}

export interface ScriptedLink {
  readonly link: ApolloLink;
  readonly arrivals: readonly Arrival[];
  /** Resolves with the arrival of that number, the first is 1. */
  arrival(number: number): Promise<Arrival>;
}

export function scriptedLink(
  onArrival: (arrival: Arrival, number: number) => void = () => undefined,
): ScriptedLink {
  const arrivals: Arrival[] = [];
  const awaited = new Map<number, (arrival: Arrival) => void>();
  const link = new ApolloLink(
    (operation) =>
      new Observable((observer) => {
        const arrival: Arrival = { operation, observer, left: false };
        const number = arrivals.push(arrival);
        awaited.get(number)?.(arrival);
        onArrival(arrival, number);
        return () => void (arrival.left = true);
      }),
  );
  return {
    link,
    arrivals,
    async arrival(number) {
      return arrivals[number - 1] ?? new Promise((resolve) => awaited.set(number, resolve));
    },
  };
}
