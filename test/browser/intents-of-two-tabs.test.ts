/** Intents that two tabs begin at once: the storage of one lags behind that of the other, and a lock doesn't. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from 'vite';
import type { Rolldown } from 'vite';
import { openProfile } from './profile.ts';

const client = fileURLToPath(new URL('../../src/client/client.ts', import.meta.url));
const server = createServer();
let url: string;

beforeAll(async () => {
  const [bundle] = (await build({
    configFile: false,
    logLevel: 'error',
    build: { write: false, minify: false, lib: { entry: client, formats: ['es'] } },
  })) as Rolldown.RolldownOutput[];
  const { code } = bundle!.output[0];
  server.on('request', ({ url: path }, response) => {
    if (path === '/client.js') response.setHeader('content-type', 'text/javascript').end(code);
    else response.setHeader('content-type', 'text/html').end('<!doctype html><title>A shop</title>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://localhost:${(server.address() as AddressInfo).port}/`;
});

afterAll(() => server.close());

describe('two tabs that begin an intent of the same name', () => {
  it('at the same time have the same key, however often they try', async () => {
    const profile = await openProfile();
    const tabs = [await openTab(profile), await openTab(profile)];
    const keys = [];
    for (let round = 0; round < 200; round += 1) {
      keys.push(await Promise.all(tabs.map((tab) => tab.evaluate(`begin('cart-${round}')`))));
    }
    expect(keys.filter(([one, other]) => one !== other)).toEqual([]);
    expect(new Set(keys.flat()).size).toBe(keys.length);
  });

  it('have another key when one of them has settled what the other began', async () => {
    const profile = await openProfile();
    const [one, other] = [await openTab(profile), await openTab(profile)];
    const key = await one.evaluate(`begin('cart')`);
    await other.evaluate(
      (settled) => (globalThis as { settle?(key: unknown): unknown }).settle!(settled),
      key,
    );
    const next = await Promise.all([one, other].map((tab) => tab.evaluate(`begin('cart')`)));
    expect(next[0]).not.toBe(key);
    expect(next[1]).toBe(next[0]);
  });
});

async function openTab(profile: Awaited<ReturnType<typeof openProfile>>): Promise<Page> {
  const tab = await profile.newPage();
  await tab.goto(url);
  await tab.evaluate(`(async () => {
    const { createIntents } = await import('/client.js');
    const intents = createIntents({ storage: localStorage });
    globalThis.begin = async (name) => (await intents.begin({ name, request: {} })).intent.key;
    globalThis.settle = intents.settle;
  })()`);
  return tab;
}
