/** Lets a pool tell what happens to the connections of another that stands behind it. */

import type { Pool } from 'pg';

/** Hands on the events with all that they tell: `release` names its client last. */
export function relayEvents(
  from: Pool,
  to: Pool,
  events: readonly ('connect' | 'acquire' | 'release' | 'remove' | 'error')[],
): void {
  for (const event of events) {
    from.on(event as 'connect', (...about) => void to.emit(event as 'connect', ...about));
  }
}
