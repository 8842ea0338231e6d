/** Serves the built page: its one document, and the assets that belong to it. */

import express from 'express';
import type { RequestHandler } from 'express';
import { builtPage } from './built-page.ts';

let files: Promise<RequestHandler> | undefined;

export const servePage: RequestHandler = async (request, response, next) => {
  // Built for the first who asks. If that fails, the next one may be luckier.
  files ??= builtPage().then(filesOf);
  const serve = await files.catch((error: unknown) => {
    files = undefined;
    throw error;
  });
  // Without the slash at its end, `/checkout` is no folder to express.
  if (request.path === '/') request.url = '/index.html';
  serve(request, response, next);
};

/** The names of assets change with their content, so they may be kept for ever; the page asks each time. */
function filesOf(folder: string): RequestHandler {
  return express.static(folder, {
    index: false,
    redirect: false,
    setHeaders: (response, path) =>
      response.setHeader(
        'cache-control',
        path.endsWith('.html') ? 'no-cache' : 'public, max-age=31536000, immutable',
      ),
  });
}
