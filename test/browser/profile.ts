/** Chromium with a profile of the test's own: tabs share its storage, as tabs of one person do. */

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, afterEach, inject } from 'vitest';
import { removeFolder, temporaryFolder } from '../support/janitor.ts';

const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

interface Running {
  readonly browser: Browser;
  readonly end: () => Promise<void>;
}

/** One for all tests of a file: it takes a second to start. */
let running: Promise<Running> | undefined;
/** The open profiles, and what their pages threw and nobody caught. */
const open = new Map<BrowserContext, readonly Error[]>();
let pictures: string | undefined;

afterEach(async ({ task }) => {
  for (const [profile, errors] of open) {
    open.delete(profile);
    if (task.result?.state === 'fail') {
      for (const error of errors) console.error('Not caught by the page:', error);
      await takePictures(profile, task.name);
    }
    await profile.close();
  }
});

afterAll(async () => {
  const { end } = (await running) ?? {};
  await end?.();
});

/** Opens a fresh profile; it is closed after the test. */
export async function openProfile(): Promise<BrowserContext> {
  running ??= launch();
  const { browser } = await running;
  const profile = await browser.newContext({ viewport: { width: 1200, height: 900 } });
  const errors: Error[] = [];
  profile.on('weberror', (thrown) => errors.push(thrown.error()));
  open.set(profile, errors);
  profile.setDefaultTimeout(20_000);
  return profile;
}

async function launch(): Promise<Running> {
  // Playwright's own folder would be left behind by a test process that is killed.
  const folder = await temporaryFolder('chromium');
  const first = await chromium.launchPersistentContext(folder, {
    executablePath: inject('chromiumPath'),
    args,
  });
  return {
    browser: first.browser()!,
    end: async () => {
      await first.close();
      removeFolder(folder);
    },
  };
}

/** The folder outlives the run: it is there to be looked at. */
async function takePictures(profile: BrowserContext, name: string): Promise<void> {
  pictures ??= mkdtempSync(join(tmpdir(), 'browser-test-failures-'));
  const file = name.replaceAll(/\W+/g, '-');
  for (const [index, page] of profile.pages().entries()) {
    const path = join(pictures, `${file}-${index + 1}.png`);
    // A page that hangs or crashed has no picture, and must not hide why the test failed.
    await page.screenshot({ path, fullPage: true, timeout: 5_000 }).then(
      () => console.error(`What the page showed: ${path}`),
      (error: unknown) => console.error(`No picture of ${page.url()}:`, error),
    );
  }
}
