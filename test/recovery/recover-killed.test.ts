/** Processes that die while they execute, and while they look up what became of it. */

import type { AbandonedRecord } from 'graphql-idempotency';
import { expect, test } from 'vitest';
import { startChild } from '../support/child.ts';
import { eventually, within } from '../support/signal.ts';
import { leaseCase, replayed, said } from './lease-case.ts';

// On a busy machine a process takes its time to start.
const SLOW_START = { timeoutMs: 60_000 };

test(
  'processes killed in the resolver, and then in the callback: the next one is offered it all the same',
  { timeout: 90_000 },
  async () => {
    const { start, url, until } = await leaseCase();
    const seen: AbandonedRecord[] = [];
    const survivor = await start({
      options: {
        recover: {
          'Mutation.refuse': (record) => {
            seen.push(record);
            return { outcome: 'completed', result: 21 };
          },
        },
        lease: 3000,
        claimTimeout: 900,
      },
    });
    const file = new URL('recovering-process.ts', import.meta.url);
    const children = ['resolver', 'recover'].map((where) =>
      startChild({ file, env: { TEST_URL: url, HANGS_IN: where } }),
    );
    const [inResolver, inRecover] = await Promise.all(
      children.map(async (child) => {
        const { url: at } = await child.message<{ url: string }>((message) => 'url' in message, SLOW_START);
        const call = (): Promise<unknown> =>
          fetch(at, {
            method: 'POST',
            headers: {
              'content-type': 'application/json',
              authorization: 'Bearer alice',
              'idempotency-key': 'a',
            },
            body: JSON.stringify({
              query: 'mutation ($n: Int!) { refuse(n: $n) }',
              variables: { n: 1 },
            }),
          }).then((response) => response.json());
        return { child, call };
      }),
    );
    inResolver!.call().catch(() => {});
    await inResolver!.child.message<{ at: string }>(({ at }) => at === 'resolver', SLOW_START);
    await inResolver!.child.kill();
    expect(said(await survivor.call('refuse', 'a'))).toBe('IN_PROGRESS');

    const asked = inRecover!.child.message<AbandonedRecord>((message) => 'abandonedAt' in message);
    await eventually(async () => {
      const answering = inRecover!.call().then(String, String);
      return (await Promise.race([answering, asked.then(() => 'asked')])) === 'asked';
    });
    const first = await asked;
    await inRecover!.child.kill();
    await until('pending');
    expect(
      await within(
        eventually(async () => {
          const answer = said(await survivor.call('refuse', 'a'));
          return answer !== 'IN_PROGRESS' && answer;
        }, SLOW_START),
        SLOW_START,
      ),
    ).toEqual(replayed(21));
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ attempt: 1, abandonedAt: first.abandonedAt });
  },
);
