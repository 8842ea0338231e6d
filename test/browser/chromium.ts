/** Has Chromium on this machine before the first test file, and tells all of them where it is. */

import type { TestProject } from 'vitest/node';
import { ensureChromium } from '../../scripts/install-program.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    readonly chromiumPath: string;
  }
}

/** Vitest's global set-up. `CHROMIUM_PATH` names a Chromium to use instead of the system's. */
export async function setup(project: TestProject): Promise<void> {
  project.provide('chromiumPath', await ensureChromium());
}
