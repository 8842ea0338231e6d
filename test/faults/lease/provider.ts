/** A payment provider that honours keys, keeps a log of all it was asked and did, and can keep its callers waiting. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { deferred } from '../../support/signal.ts';
import { counter } from './counter.ts';

/** What the provider was asked, or did: `done` is the effect, `asked` is any request for it. */
export interface ProviderEntry {
  readonly kind: 'asked' | 'done';
  readonly key: string;
  readonly step: string;
  readonly note: string;
}

export interface ProviderHold {
  /** Resolves when so many requests wait here. */
  reached(count: number): Promise<void>;
  /** Lets later requests pass; those that wait go on waiting. */
  readonly disarm: () => void;
  /** Lets everything pass. */
  release(): void;
}

export interface Provider {
  readonly url: string;
  readonly log: readonly ProviderEntry[];
  count(kind: ProviderEntry['kind'], step: string, note: string): number;
  /** Keeps requests waiting, before it does what they ask or before it answers. */
  hold(where: 'before' | 'after', step: string, notes: ReadonlySet<string>): ProviderHold;
  close(): Promise<void>;
}

interface Hold {
  readonly where: 'before' | 'after';
  readonly step: string;
  readonly notes: ReadonlySet<string>;
  readonly wait: () => Promise<void>;
}

export async function startProvider(): Promise<Provider> {
  const log: ProviderEntry[] = [];
  const counts = new Map<string, number>();
  const receipts = new Map<string, string>();
  const holds = new Set<Hold>();

  function append(entry: ProviderEntry): void {
    log.push(entry);
    const name = `${entry.kind} ${entry.step} ${entry.note}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }

  async function passHold(where: Hold['where'], step: string, note: string): Promise<void> {
    for (const hold of holds) {
      if (hold.where === where && hold.step === step && hold.notes.has(note)) await hold.wait();
    }
  }

  async function perform(key: string, { step, note }: { step: string; note: string }): Promise<string> {
    append({ kind: 'asked', key, step, note });
    await passHold('before', step, note);
    let receipt = receipts.get(key);
    if (receipt === undefined) {
      receipt = `receipt-${receipts.size + 1}`;
      receipts.set(key, receipt);
      append({ kind: 'done', key, step, note });
    }
    await passHold('after', step, note);
    return receipt;
  }

  const server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const order = JSON.parse(Buffer.concat(chunks).toString()) as { step: string; note: string };
      const receipt = await perform(String(request.headers['idempotency-key']), order);
      response.end(JSON.stringify({ receipt }));
    })().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    log,
    count: (kind, step, note) => counts.get(`${kind} ${step} ${note}`) ?? 0,
    hold(where, step, notes) {
      const released = deferred();
      const waiting = counter();
      const hold: Hold = {
        where,
        step,
        notes,
        wait: () => {
          waiting.add();
          return released.promise;
        },
      };
      holds.add(hold);
      const disarm = (): void => void holds.delete(hold);
      return {
        reached: (count) => waiting.reach(count),
        disarm,
        release: () => {
          disarm();
          released.resolve();
        },
      };
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
