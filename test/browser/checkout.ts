/** One tab with the checkout: what a person does there, what the page shows, and what it sends. */

import type { BrowserContext, Locator, Page, Request } from 'playwright-core';
import { eventually } from '../support/signal.ts';
import type { Shop, Shopper } from './shop.ts';

export type State = 'idle' | 'sending' | 'retrying' | 'unknown' | 'failed' | 'done';

/** A row of the timeline, as the page's attributes say it. */
export interface Attempt {
  readonly key: string;
  readonly number: number;
  readonly outcome: string;
  readonly served: string;
}

export interface Checkout {
  readonly page: Page;
  /** Finds a part of the page by its test id. */
  readonly part: (id: string) => Locator;
  pay(): Promise<void>;
  /** Turns a switch, and waits until the server knows. */
  turn(trouble: 'drop' | 'slow' | 'down' | 'redis'): Promise<void>;
  waitFor(state: State): Promise<void>;
  attempts(): Promise<readonly Attempt[]>;
  /** How the payment was served: `executed` or `replayed`. */
  served(): Promise<string | null>;
  /** Waits until the page shows this balance. */
  waitForBalance(cents: number): Promise<void>;
  /** The key of each charge that left the page, reloads included. */
  sentKeys(): readonly (string | undefined)[];
  /** Waits until no charge of this page is under way. */
  quiet(): Promise<void>;
}

/** Opens the checkout in a new tab. */
export async function openCheckout(
  profile: BrowserContext,
  shop: Shop,
  { user, cart }: Shopper,
): Promise<Checkout> {
  const page = await profile.newPage();
  const sent = new Map<Request, 'under way' | 'ended'>();
  page.on('request', (request) => isCharge(request) && sent.set(request, 'under way'));
  const end = (request: Request): unknown => sent.has(request) && sent.set(request, 'ended');
  page.on('requestfinished', end).on('requestfailed', end);
  const part = (id: string): Locator => page.getByTestId(id);
  const query = new URLSearchParams({ user, cart }).toString();
  await page.goto(`${shop.url}/checkout?${query}`);
  await part('pay').waitFor();

  return {
    page,
    part,
    pay: () => part('pay').click(),
    turn: async (trouble) => {
      const known = page.waitForResponse(/\/checkout\/trouble$/);
      await part(`trouble-${trouble}`).click();
      await known;
    },
    waitFor: (state) => page.locator(`[data-testid=status][data-state=${state}]`).waitFor(),
    attempts: async () =>
      part('attempt').evaluateAll((rows: readonly { dataset: Record<string, string> }[]) =>
        rows.map(({ dataset: { key = '', number, outcome = '', served = '' } }) => ({
          key,
          number: Number(number),
          outcome,
          served,
        })),
      ),
    served: () => part('paid').getAttribute('data-served'),
    waitForBalance: (cents) => page.locator(`[data-testid=balance][data-cents="${cents}"]`).waitFor(),
    sentKeys: () => [...sent.keys()].map((request) => request.headers()['idempotency-key']),
    quiet: async () => {
      await eventually(() => [...sent.values()].every((state) => state === 'ended'), {
        what: 'a page without a charge under way',
      });
    },
  };
}

function isCharge(request: Request): boolean {
  return request.method() === 'POST' && /\bmutation\b/.test(request.postData() ?? '');
}

/** Presses Tab until the part has the focus. */
export async function tabTo({ page, part }: Checkout, id: string): Promise<void> {
  const focused = part(id).and(page.locator(':focus'));
  for (let presses = 0; presses < 30; presses += 1) {
    await page.keyboard.press('Tab');
    if ((await focused.count()) === 1) return;
  }
  throw new Error(`Tab does not get to ${id}`);
}
