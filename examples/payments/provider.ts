/**
 * Plays the payment provider: a process of its own, whose payouts are in no transaction of the service's. It
 * pays once for each idempotency key, keeps its log on disk, and can be told to answer badly.
 */

import { randomUUID } from 'node:crypto';
import { fsyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';

export interface PayoutOrder {
  readonly amountCents: number;
  readonly account: string;
}

/** A line of the log. */
export interface PaidPayout extends PayoutOrder {
  readonly id: string;
  readonly key: string;
}

/** What `GET /payouts` answers. */
export interface ProviderLog {
  /** How often it was asked to pay, repetitions included. */
  readonly asked: number;
  readonly payouts: readonly PaidPayout[];
}

/**
 * What `PUT /behaviour` takes. It pays in any case; then, for so many requests, it answers late (`slow`), with
 * a 500 (`fail`), with a broken connection (`drop`), or not before the next `PUT /behaviour` (`hang`).
 */
export interface Behaviour {
  readonly mode: 'normal' | 'slow' | 'fail' | 'drop' | 'hang';
  /** @defaultValue 1 */
  readonly requests?: number;
  /** How late `slow` is. @defaultValue 1000 */
  readonly delayMs?: number;
}

const file = process.env['PROVIDER_LOG'] || '.data/provider.jsonl';
mkdirSync(dirname(file), { recursive: true });
const log = openSync(file, 'a+');
const payouts = new Map(
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as PaidPayout)
    .map((payout) => [payout.key, payout]),
);

let asked = 0;
let behaviour: Required<Behaviour> = { mode: 'normal', requests: 0, delayMs: 0 };
const hanging: (() => void)[] = [];

const server = createServer((request, response) => {
  handle(request, response).catch((error: unknown) => {
    console.error(error);
    answer(response, 500, { error: 'A bug of the provider.' });
  });
});
server.listen(Number(process.env['PROVIDER_PORT'] || 0), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  console.log(`ready ${url}`);
  process.send?.({ url });
});

// Started by a server, it ends with that server, however that ends.
process.once('disconnect', () => process.exit());

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case 'POST /payouts':
      return takeOrder(request, response);
    case 'GET /payouts':
      return answer(response, 200, { asked, payouts: [...payouts.values()] } satisfies ProviderLog);
    case 'PUT /behaviour':
      behaviour = { requests: 1, delayMs: 1000, ...((await json(request)) as Behaviour) };
      for (const goOn of hanging.splice(0)) goOn();
      return answer(response, 200, behaviour);
    default:
      return answer(response, 404, { error: 'There is nothing here.' });
  }
}

async function takeOrder(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { amountCents, account } = (await json(request)) as PayoutOrder;
  const key = request.headers['idempotency-key'];
  asked += 1;
  if (typeof key !== 'string')
    return answer(response, 400, { error: 'The header Idempotency-Key is missing.' });
  if (!/^[A-Z]{2}\d{2}[A-Z\d]{4,30}$/.test(account)) {
    return answer(response, 422, { error: 'There is no such account.' });
  }
  const paid = payouts.get(key) ?? pay({ id: randomUUID(), key, amountCents, account });
  if (paid.amountCents !== amountCents || paid.account !== account) {
    return answer(response, 409, { error: 'The key belongs to another payout.' });
  }
  switch (nextMode()) {
    case 'fail':
      return answer(response, 500, { error: 'Something went wrong.' });
    case 'drop':
      return void request.socket.destroy();
    case 'slow':
      await pause(behaviour.delayMs);
      break;
    case 'hang':
      await new Promise<void>((resolve) => hanging.push(resolve));
      break;
    case 'normal':
  }
  answer(response, 200, paid);
}

/** Synchronous from the look into `payouts` to here, so that no other request with the key comes between. */
function pay(payout: PaidPayout): PaidPayout {
  writeSync(log, `${JSON.stringify(payout)}\n`);
  fsyncSync(log);
  payouts.set(payout.key, payout);
  return payout;
}

function nextMode(): Behaviour['mode'] {
  if (behaviour.requests === 0) return 'normal';
  behaviour = { ...behaviour, requests: behaviour.requests - 1 };
  return behaviour.mode;
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
