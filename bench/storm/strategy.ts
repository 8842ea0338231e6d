/** What the storm compares: ways to retry. */

import type { StormServer } from './server.ts';
import type { World } from './world.ts';

export interface Strategy {
  readonly name: string;
  /** Whether a client's rate matters: a budget has a minimum that does not grow with it. */
  readonly hasBudget: boolean;
  /** Makes one client: a process with everything of its own. */
  createClient(server: Pick<StormServer, 'receive'>, world: World): StormClient;
}

export interface StormClient {
  /** Begins an intent; resolves when it has ended, with whether it was answered. */
  begin(intent: number): Promise<boolean>;
}
