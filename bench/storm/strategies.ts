/** The rows of the storm, in the order in which they are shown. */

import { fullJitter, withBudget } from './engine.ts';
import { noJitter } from './no-jitter.ts';
import { retryLink } from './retry-link.ts';
import type { Strategy } from './strategy.ts';

export const STRATEGIES: readonly Strategy[] = [noJitter, retryLink, fullJitter, withBudget];
