/** The examples as `scripts/examples.mjs` has prepared them. */

import { readFileSync } from 'node:fs';
import type { PreparedExample } from '../../../scripts/examples/prepare.mjs';

export type { PreparedExample };

/** Returns them in their order. */
export function preparedExamples(): readonly PreparedExample[] {
  const manifest = process.env['EXAMPLES_MANIFEST'];
  if (manifest === undefined) throw new Error('These tests are run by: npm run test:examples');
  return JSON.parse(readFileSync(manifest, 'utf8')) as PreparedExample[];
}

/** Whether none is left out, so that the table of all can be compared. */
export const isComplete: boolean = process.env['EXAMPLES_COMPLETE'] === '1';
