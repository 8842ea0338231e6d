// @ts-check
/** Runs the browser tests as `test.mjs` runs the others. Their set-up installs Chromium where it is missing. */

process.argv.splice(2, 0, '--config', 'vitest.browser.config.ts');
await import('./test.mjs');
