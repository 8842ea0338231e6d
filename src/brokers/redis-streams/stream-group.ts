/** A consumer's part in the groups of its streams, in commands of Redis. */

import type { Redis } from 'ioredis';
import type { StreamEntry } from './entry.ts';

export interface StreamGroupContext {
  /** For reads that wait: what is sent behind one waits as well. */
  readonly reader: Redis;
  readonly writer: Redis;
  readonly group: string;
  readonly consumer: string;
  /** A message for which its consumer has done nothing for so long is anybody's, in milliseconds. */
  readonly claimIdleMs: number;
}

export interface StreamGroup {
  /** Makes the group and the stream where they are missing. */
  create(stream: string): Promise<void>;
  /** Takes new messages: at most `count` of each stream. With `waitMs`, waits that long for the first. */
  read(streams: readonly string[], count: number, waitMs?: number): Promise<StreamEntry[]>;
  /** Takes messages over that are anybody's, without those that are in hand. `full`: there may be more. */
  claim(stream: string, count: number, inHand: ReadonlySet<string>): Promise<Claimed>;
  /** Strikes messages off, whoever has them by now. */
  ack(stream: string, ids: readonly string[]): Promise<void>;
  /** Sets how long ago the last sign of life was, in milliseconds, for those that are still this consumer's. */
  hold(stream: string, ids: readonly string[], idleMs: number): Promise<void>;
  /** Removes the consumer's name, and those that nobody has used for so long, unless they have messages. */
  leave(stream: string, unusedMs: number): Promise<void>;
}

export interface Claimed {
  readonly entries: readonly StreamEntry[];
  readonly full: boolean;
}

type RawEntry = readonly [id: Buffer, fields: Buffer[] | null];

/**
 * In a script, because XCLAIM takes from anybody: a consumer that was frozen, whose message another has taken over and
 * is handling, would take it back from there, and each sign of life of the two would take it from the other.
 */
const HOLD = `
for at = 4, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[at], ARGV[at], 1, ARGV[2]) == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[at], 'IDLE', ARGV[3], 'JUSTID')
  end
end
return 1`;

/**
 * In a script, because a name takes its pending messages along: one that gets a message between the look and the
 * removal would lose it, and nobody would ever be given it again.
 */
const LEAVE = `
for _, facts in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for at = 1, #facts, 2 do consumer[facts[at]] = facts[at + 1] end
  if consumer.pending == 0 and (consumer.name == ARGV[2] or consumer.idle > tonumber(ARGV[3])) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
  end
end
return 1`;

export function streamGroup({
  reader,
  writer,
  group,
  consumer,
  claimIdleMs,
}: StreamGroupContext): StreamGroup {
  const prefix = reader.options.keyPrefix ?? '';
  return {
    async create(stream) {
      try {
        await writer.xgroup('CREATE', stream, group, '0', 'MKSTREAM');
      } catch (error) {
        if (!startsWith(error, 'BUSYGROUP')) throw error;
      }
    },

    async read(streams, count, waitMs) {
      const block = waitMs === undefined ? [] : ['BLOCK', waitMs];
      const from = [...streams, ...streams.map(() => '>')];
      const command = ['GROUP', group, consumer, 'COUNT', count, ...block, 'STREAMS', ...from];
      const answer = (await reader.xreadgroupBuffer(...(command as ['GROUP', string, string, 'STREAMS']))) as
        | readonly [name: Buffer, entries: readonly RawEntry[]][]
        | null;
      return (answer ?? []).flatMap(([name, entries]) => {
        // The client puts its prefix in front of names that it sends, and leaves it in those that it gets.
        const stream = name.toString().slice(prefix.length);
        return entries.map(([id, fields]) => ({
          stream,
          id: id.toString(),
          fields: fields ?? [],
          deliveries: 1,
        }));
      });
    },

    async claim(stream, count, inHand) {
      // After an outage, those in hand may be anybody's as well.
      const limit = count + inHand.size;
      const command = [stream, group, 'IDLE', claimIdleMs, '-', '+', limit];
      const pending = (await writer.xpending(...(command as [string, string]))) as [
        id: string,
        consumer: string,
        idleMs: number,
        deliveries: number,
      ][];
      const deliveries = new Map(
        pending.filter(([id]) => !inHand.has(id)).map(([id, , , before]) => [id, before + 1]),
      );
      const ids = [...deliveries.keys()].slice(0, count);
      const full = pending.length === limit;
      if (ids.length === 0) return { entries: [], full };
      // Redis looks at the time again: two that have found the same message do not both get it.
      const claimed = (await writer.callBuffer(
        'xclaim',
        stream,
        group,
        consumer,
        claimIdleMs,
        ...ids,
      )) as readonly (RawEntry | null)[];
      const entries = claimed
        // What was trimmed away is no more.
        .filter((raw) => raw !== null)
        .map(([id, fields]) => ({
          stream,
          id: id.toString(),
          fields: fields ?? [],
          deliveries: deliveries.get(id.toString()) ?? 1,
        }));
      return { entries, full };
    },

    async ack(stream, ids) {
      await writer.xack(stream, group, ...ids);
    },

    async hold(stream, ids, idleMs) {
      await writer.eval(HOLD, 1, stream, group, consumer, idleMs, ...ids);
    },

    async leave(stream, unusedMs) {
      await writer.eval(LEAVE, 1, stream, group, consumer, unusedMs);
    },
  };
}

/** Whether the group is gone: removed, or Redis came back without it. */
export function lacksGroup(error: unknown): boolean {
  return startsWith(error, 'NOGROUP') || startsWith(error, 'UNBLOCKED');
}

function startsWith(error: unknown, code: string): boolean {
  return error instanceof Error && error.message.startsWith(code);
}
