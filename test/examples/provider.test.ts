/** The example's payment provider: what the tests and the demo of payouts rest on. */

import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/signal.ts';
import { newLog, startProvider } from './provider.ts';

describe('the payment provider', () => {
  it('pays once for each key, and remembers that over a kill -9', async () => {
    const log = await newLog();
    const before = await startProvider({ log });
    const first = await before.pay('one');
    expect(first).toMatchObject({ status: 200, body: { key: 'one', amountCents: 500 } });
    expect(await before.pay('one')).toEqual(first);
    await before.child.kill();

    const after = await startProvider({ log });
    expect(await after.pay('one')).toEqual(first);
    expect((await after.pay('two')).body.id).not.toBe(first.body.id);
    expect((await after.log()).payouts.map(({ key }) => key)).toEqual(['one', 'two']);
    expect((await readFile(log, 'utf8')).trimEnd().split('\n')).toHaveLength(2);
  });

  it('pays nothing for a key of another payout, and nothing to an account that cannot be', async () => {
    const provider = await startProvider();
    await provider.pay('one');
    expect((await provider.pay('one', { amountCents: 501 })).status).toBe(409);
    expect((await provider.pay('two', { account: 'nobody' })).status).toBe(422);
    expect(await provider.log()).toMatchObject({ asked: 3, payouts: [{ key: 'one', amountCents: 500 }] });
  });

  it('fails, breaks connections, is slow and hangs as it is told, and has paid each time', async () => {
    const provider = await startProvider();
    await provider.behave({ mode: 'fail', requests: 2 });
    expect((await provider.pay('fail')).status).toBe(500);
    expect((await provider.pay('fail')).status).toBe(500);
    expect((await provider.pay('fail')).status).toBe(200);

    await provider.behave({ mode: 'drop' });
    await expect(provider.pay('drop')).rejects.toThrow('fetch failed');

    await provider.behave({ mode: 'slow', delayMs: 50 });
    const sent = performance.now();
    await provider.pay('slow');
    expect(performance.now() - sent).toBeGreaterThan(45);

    await provider.behave({ mode: 'hang' });
    let answered = false;
    const hanging = provider.pay('hang').then(() => (answered = true));
    await eventually(async () => (await provider.log()).payouts.length === 4);
    expect(answered).toBe(false);
    await provider.behave({ mode: 'normal' });
    await hanging;
    expect((await provider.log()).payouts.map(({ key }) => key)).toEqual(['fail', 'drop', 'slow', 'hang']);
  });
});
