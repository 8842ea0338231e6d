/** Who may make trouble: a page of this server's, opened on this machine. */

import type { Request, RequestHandler } from 'express';

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]']);

export const ownPageOnly: RequestHandler = (request, response, next) => {
  const reason = whyRefused(request);
  if (reason === undefined) return next();
  response.status(403).json({ error: reason });
};

function whyRefused(request: Request): string | undefined {
  const { host = '', origin } = request.headers;
  if (!/^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/.test(request.socket.remoteAddress ?? '')) {
    return 'Trouble can be made from this machine only.';
  }
  // A name that somebody else points at this machine makes his page one of the same origin.
  if (!URL.canParse(`http://${host}`) || !loopbackNames.has(new URL(`http://${host}`).hostname)) {
    return 'Trouble can be made at localhost only.';
  }
  // Pages of other sites reach this machine too, by way of the browser that shows them.
  if (origin !== undefined && origin !== `http://${host}`) return 'Another site may not make trouble here.';
  return undefined;
}
