/** Stops a server where the demo wants to step in, until it is told to go on. */

import { once } from 'node:events';

export async function pause(): Promise<void> {
  const told = once(process, 'message');
  process.send?.('paused');
  await told;
}
