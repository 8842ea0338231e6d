/** The switches over HTTP: GET says how they are, POST sets some of them. */

import express from 'express';
import type { RequestHandler, Router } from 'express';
import { redisSwitch } from '../redis-switch.ts';
import { setTrouble, troubleNow } from '../trouble.ts';
import type { Trouble } from '../trouble.ts';
import { ownPageOnly } from './own-page-only.ts';

/** The most that can be asked for: nobody has to restart the server to get out of it. */
const most: Readonly<Record<string, number>> = { dropResponses: 100, slowMs: 60_000, downForMs: 60_000 };

export const troubleSwitches: Router = express.Router();

// A form of another site can send many types, this one not without being asked for its origin first.
const jsonOnly: RequestHandler = (request, response, next) => {
  if (request.is('application/json')) return next();
  response.status(415).json({ error: 'The content type must be application/json.' });
};

troubleSwitches.use(ownPageOnly, (_, response, next) => {
  response.set('cache-control', 'no-store');
  next();
});

troubleSwitches.get('/', (_, response) => void response.json(troubleNow()));

troubleSwitches.post('/', jsonOnly, express.json(), (request, response) => {
  const error = whyWrong(request.body);
  if (error !== undefined) return void response.status(400).json({ error });
  setTrouble(request.body as Partial<Trouble>);
  response.json(troubleNow());
});

function whyWrong(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return 'An object is expected.';
  for (const [name, value] of Object.entries(body)) {
    if (name === 'redisDown') {
      if (typeof value !== 'boolean') return 'redisDown is true or false.';
      if (value && redisSwitch.missing !== undefined) return redisSwitch.missing;
      continue;
    }
    if (!Object.hasOwn(most, name)) return `There is no switch ${JSON.stringify(name)}.`;
    if (!Number.isInteger(value) || value < 0 || value > most[name]!) {
      return `${name} is a whole number from 0 to ${most[name]}.`;
    }
  }
  return undefined;
}
