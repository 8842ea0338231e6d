/** The world of the storm: who asks how often, how long the server is down, and how it fails. Times are in milliseconds. */

export interface World {
  readonly seed: number;
  /** Processes, each with a retry budget of its own. */
  readonly clients: number;
  /** Intents that each client begins per second, evenly, with a phase of its own. */
  readonly ratePerClient: number;
  /**
   * The same for rows without a budget. Nothing in them depends on it: each intent is retried for itself, and the
   * server's capacity is a multiple of the normal load. They make many times as many requests, all of which take time.
   */
  readonly rateWithoutBudget: number;
  readonly warmUpMs: number;
  readonly outageMs: number;
  /** The first moments of the outage: what arrives is still executed, and no answer gets out any more. */
  readonly crashMs: number;
  /** How long a mutation takes. */
  readonly executionMs: number;
  /** How long a refusal takes. */
  readonly refusalMs: number;
  /** Answers that get lost on any day, as a share of all. */
  readonly lostShare: number;
  /** What the server can execute, over the normal load; it refuses what comes on top. */
  readonly capacity: number;
  /** What a refusal asks for, of those clients that listen. */
  readonly retryAfterSeconds: number;
  /** How long after the outage the storm is watched at most. */
  readonly watchMs: number;
}

export const DEFAULT_WORLD: World = {
  seed: 1,
  clients: 1000,
  ratePerClient: 25,
  rateWithoutBudget: 5,
  warmUpMs: 10_000,
  outageMs: 30_000,
  crashMs: 50,
  executionMs: 20,
  refusalMs: 5,
  lostShare: 0.001,
  capacity: 1.5,
  retryAfterSeconds: 10,
  watchMs: 120_000,
};

/** Requests per second when nobody retries. */
export function normalPerSecond({ clients, ratePerClient }: World): number {
  return clients * ratePerClient;
}

export function outageEndMs({ warmUpMs, outageMs }: World): number {
  return warmUpMs + outageMs;
}
