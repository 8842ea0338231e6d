/** What goes wrong between this server and its clients, on request: the switches of the checkout page. */

import { setTimeout as pause } from 'node:timers/promises';
import type { Request, RequestHandler } from 'express';
import { getOperationAST, parse } from 'graphql';
import { redisSwitch } from './redis-switch.ts';

export interface Trouble {
  /** So many mutations more are executed and not answered. */
  readonly dropResponses: number;
  /** How long a request waits before it is handled, in milliseconds. */
  readonly slowMs: number;
  /** For so long every request's connection breaks at once, in milliseconds. */
  readonly downForMs: number;
  readonly redisDown: boolean;
}

/** The switches as they are. */
export interface TroubleState extends Trouble {
  /** Why Redis can't be switched off; `null` where it can. */
  readonly redisMissing: string | null;
}

let dropResponses = 0;
let slowMs = 0;
let downUntil = 0;
const dropped = new Set<string>();

export function troubleNow(): TroubleState {
  return {
    dropResponses,
    slowMs,
    downForMs: Math.max(0, downUntil - Date.now()),
    redisDown: redisSwitch.isDown,
    redisMissing: redisSwitch.missing ?? null,
  };
}

export function setTrouble(trouble: Partial<Trouble>): void {
  dropResponses = trouble.dropResponses ?? dropResponses;
  slowMs = trouble.slowMs ?? slowMs;
  if (trouble.downForMs !== undefined) downUntil = Date.now() + trouble.downForMs;
  if (trouble.redisDown !== undefined) redisSwitch.setDown(trouble.redisDown);
}

/** Stands before the API, and makes the trouble that is set. */
export const makeTrouble: RequestHandler = async (request, response, next) => {
  if (Date.now() < downUntil) return void request.socket.destroy();
  if (slowMs > 0) await pause(slowMs);
  const send = response.send.bind(response);
  // An answer is sent when it is complete: the mutation has committed, and not a byte has left.
  response.send = (body) => {
    if (!losesItsAnswer(request)) return send(body);
    request.socket.destroy();
    return response;
  };
  next();
};

function losesItsAnswer(request: Request): boolean {
  const attempt = request.get('attempt-id');
  // A browser sends a request again by itself, unseen by the page, when a connection breaks that it had kept
  // open. To the page that is one attempt still: it loses every answer.
  if (attempt !== undefined && dropped.has(attempt)) return true;
  if (dropResponses === 0 || !isMutation(request.body)) return false;
  dropResponses -= 1;
  if (attempt !== undefined) dropped.add(attempt);
  return true;
}

function isMutation(body: unknown): boolean {
  const { query, operationName } = (body ?? {}) as { query?: unknown; operationName?: string | null };
  if (typeof query !== 'string') return false;
  try {
    return getOperationAST(parse(query), operationName)?.operation === 'mutation';
  } catch {
    return false;
  }
}
