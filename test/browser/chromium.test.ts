/** How Chromium is found, and what a machine is told that has none. */

import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ensureChromium } from '../../scripts/install-program.mjs';
import { removeFolder, temporaryFolder } from '../support/janitor.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder('programs');
});

afterEach(() => {
  vi.restoreAllMocks();
  removeFolder(folder);
});

describe('Chromium', () => {
  it('is the one that CHROMIUM_PATH names, and no other one where that is missing', async () => {
    const own = program('own-build', '');
    expect(await ensureChromium({ path: own })).toBe(own);
    const nowhere = join(folder, 'nowhere');
    await expect(ensureChromium({ path: nowhere })).rejects.toThrow(
      `CHROMIUM_PATH is ${nowhere}, and there is no`,
    );
  });

  it('is asked for where nothing may be installed', async () => {
    program('apt-get', 'exit 1');
    vi.spyOn(process, 'getuid').mockReturnValue(1000);
    await expect(ensureChromium({ path: '', folders: [folder] })).rejects.toThrow(
      /^Chromium is needed and not on the PATH\. Install it .+ or name one with CHROMIUM_PATH/,
    );
  });
});

function program(name: string, script: string): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}
