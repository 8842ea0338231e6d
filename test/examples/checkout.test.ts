/** The checkout page of the payments example, without a browser: what is served, and who may touch its switches. */

import type { Request, Response } from 'express';
import { beforeAll, describe, expect, it } from 'vitest';
import { ownPageOnly } from '../../examples/payments/checkout/own-page-only.ts';
import { createDatabase } from '../support/database.ts';
import { within } from '../support/signal.ts';
import { sendRaw, troubleNow } from './checkout.ts';
import { charge, outcomeOf, startPayments } from './payments.ts';
import type { Payments } from './payments.ts';

let server: Payments;

beforeAll(async () => {
  const { url } = await createDatabase();
  // Nobody is paid out here, so that the server needs no provider of its own.
  server = await startPayments({
    env: { DATABASE_URL: url, PROVIDER_URL: 'http://127.0.0.1:9/' },
    until: 'file',
  });
});

describe('the checkout page', () => {
  it('is built when it is asked for, and names its assets by their content', async () => {
    // The first one waits for the build.
    const page = await within(fetch(`${server.url}checkout`), { timeoutMs: 60_000 });
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toMatch('text/html');
    expect(page.headers.get('cache-control')).toBe('no-cache');
    const html = await page.text();
    expect(await (await fetch(`${server.url}checkout/?user=ada&cart=7`)).text()).toBe(html);

    const assets = [...html.matchAll(/(?:src|href)="(\/checkout\/assets\/[^"]+)"/g)].map(([, path]) => path!);
    expect(assets.map((path) => path.replace(/^.*\./, '')).toSorted()).toEqual(['css', 'js']);
    for (const path of assets) {
      const asset = await fetch(new URL(path, server.url));
      expect(asset.status).toBe(200);
      expect(asset.headers.get('content-type')).toMatch(
        path.endsWith('.css') ? 'text/css' : 'text/javascript',
      );
      expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
      expect((await asset.text()).length).toBeGreaterThan(1000);
    }
  });

  it('keeps no state of its switches in any cache', async () => {
    const { status, headers } = await fetch(`${server.url}checkout/trouble`);
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
  });

  it('may be framed by nobody, and runs no scripts but its own', async () => {
    const { headers } = await fetch(`${server.url}checkout`);
    expect(headers.get('content-security-policy')).toMatch(/default-src 'self'.*frame-ancestors 'none'/);
  });

  it('has no files but its own', async () => {
    for (const path of ['checkout/no-such-file', 'checkout/assets/', 'checkout/..%2f..%2fpackage.json']) {
      const response = await fetch(`${server.url}${path}`);
      expect([path, response.status >= 400 && response.status < 500]).toEqual([path, true]);
      expect(await response.text()).not.toContain('graphql-idempotency');
    }
  });

  it('leaves the API where it is', async () => {
    const first = await charge(server.url, { user: 'api', key: 'unchanged', amountCents: 700 });
    expect(first).toMatchObject({ status: 200, body: { data: { charge: { amountCents: 700 } } } });
    expect(outcomeOf(await charge(server.url, { user: 'api', key: 'unchanged', amountCents: 700 }))).toBe(
      'replayed',
    );
    const query = encodeURIComponent('{ balance }');
    const got = await fetch(`${server.url}?query=${query}`, {
      headers: { authorization: 'Bearer api', 'apollo-require-preflight': 'yes' },
    });
    expect(await got.json()).toEqual({ data: { balance: 700 } });
  });
});

describe('trouble is refused', () => {
  const refused = { dropResponses: 3 };

  it.each([
    ['a page of another site', { origin: 'https://evil.example' }, 403],
    ['a page of another port', { origin: 'http://localhost:1' }, 403],
    ['a page without an origin', { origin: 'null' }, 403],
    ['a name that somebody else points at this machine', { host: 'evil.example' }, 403],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['a form that pretends', { 'content-type': 'text/plain' }, 415],
    ['a request without a type', { 'content-type': '' }, 415],
  ])('to %s', async (_, headers, status) => {
    expect(await sendRaw(`${server.url}checkout/trouble`, { headers, body: refused })).toMatchObject({
      status,
    });
    expect(await troubleNow(server.url)).toMatchObject({ dropResponses: 0 });
  });

  it.each([
    ['127.0.0.1', true],
    ['127.8.0.1', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['192.0.2.1', false],
    ['::ffff:192.0.2.1', false],
    ['2001:db8::1', false],
    ['127.0.0.1.example', false],
    [undefined, false],
  ])('unless the connection comes from this machine: %s', (remoteAddress, isAllowed) => {
    let status = 200;
    let isPassedOn = false;
    const response = {
      status(code: number) {
        status = code;
        return response;
      },
      json: () => response,
    };
    ownPageOnly(
      { headers: { host: 'localhost:4000' }, socket: { remoteAddress } } as Request,
      response as unknown as Response,
      () => (isPassedOn = true),
    );
    expect({ status, isPassedOn }).toEqual({ status: isAllowed ? 200 : 403, isPassedOn: isAllowed });
  });

  it("and told to no other site's page", async () => {
    const answer = await sendRaw(`${server.url}checkout/trouble`, {
      method: 'GET',
      headers: { host: 'evil.example' },
    });
    expect(answer.status).toBe(403);
  });

  it('but not to the page itself', async () => {
    const origin = new URL(server.url).origin;
    const headers = { origin };
    expect(
      await sendRaw(`${server.url}checkout/trouble`, { headers, body: { dropResponses: 0 } }),
    ).toMatchObject({ status: 200 });
  });
});
