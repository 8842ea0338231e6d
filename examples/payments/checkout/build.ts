/** Builds the page into the folder of its argument. A program of its own: the build sets NODE_ENV as it likes. */

import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const source = (path: string): string => fileURLToPath(new URL(`../../../src/${path}`, import.meta.url));

await build({
  configFile: false,
  root: fileURLToPath(new URL('page', import.meta.url)),
  base: '/checkout/',
  logLevel: 'warn',
  resolve: {
    alias: [
      { find: /^graphql-idempotency\/client$/, replacement: source('client/client.ts') },
      { find: /^graphql-idempotency\/client\/(apollo|react)$/, replacement: source('client/$1/$1.ts') },
    ],
  },
  build: { outDir: process.argv[2]!, emptyOutDir: true },
});
