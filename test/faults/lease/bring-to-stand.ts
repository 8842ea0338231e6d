/** Brings calls to stand still at a point of their attempts. */

import type { WireMessage } from '../../support/postgres-wire.ts';
import { eventually, within } from '../../support/signal.ts';
import { namesIdentity } from './call.ts';
import type { Call } from './call.ts';
import { counter } from './counter.ts';
import type { Point, Write } from './points.ts';
import { callTransfer } from './stage.ts';
import type { Answered, Stage } from './stage.ts';
import { STAND_AT } from './standing.ts';
import type { TransferChild } from './transfer-child.ts';

/** The process was not killed at the point: its calls came past it, or were given up before. */
export class Missed extends Error {}

/** Calls that stand still. */
export interface Held {
  readonly answers: Promise<readonly Answered[]>;
  /** Lets other calls pass there. */
  readonly disarm: () => void;
  /** Resolves when what was under way has arrived. */
  readonly release: () => Promise<void>;
}

/** Sends the calls to the process, and resolves when all of them stand at the point. */
export async function bringToStand(
  stage: Stage,
  child: TransferChild,
  { name, reach, arrives }: Point,
  calls: readonly Call[],
): Promise<Held> {
  const answers = () =>
    Promise.all(calls.map(({ policy, note }) => callTransfer(child.url, policy, note, { [STAND_AT]: name })));
  const stand = async (standing: Promise<void>, disarm: () => void, release: () => Promise<void>) => {
    const held = { answers: answers(), disarm, release };
    const answered = held.answers.then((all) => {
      const outcomes = [...new Set(all.map(({ outcome }) => outcome))];
      throw new Missed(`calls did not stand still at ${name}: ${outcomes.join(', ')}`);
    });
    answered.catch(() => {});
    await within(Promise.race([standing, answered]), { timeoutMs: 120_000, what: `standing at ${name}` });
    return held;
  };
  switch (reach.by) {
    case 'process': {
      return stand(child.stands(name, calls.length), nothing, async () => {});
    }
    case 'provider': {
      const hold = stage.provider.hold(reach.where, reach.step, new Set(calls.map(({ note }) => note)));
      return stand(hold.reached(calls.length), hold.disarm, async () => {
        hold.release();
        // It is in this process: what it does now is done in this turn.
        await new Promise(setImmediate);
      });
    }
    case 'postgres': {
      const standing = counter();
      const rule = child.proxy.on(
        {
          from: 'client',
          sql: reach.write.sql,
          where: (message) => isWrite(message, reach.write, name, calls) && (standing.add(), true),
        },
        reach.action,
        calls.length,
      );
      return stand(standing.reach(calls.length), nothing, async () => {
        rule.release();
        if (arrives !== 'at-once') await sessionsEnded(stage, child);
      });
    }
  }
}

function nothing(): void {}

/** Whether it is one of the calls' own: what names no identity is marked with the call's place. */
function isWrite(message: WireMessage, { names }: Write, place: string, calls: readonly Call[]): boolean {
  const { type, bytes, sql } = message;
  // A statement as it is, or the values of one that is prepared.
  if (type !== 'Query' && type !== 'Bind') return false;
  if (names !== undefined && !bytes.includes(type === 'Query' ? `'${names}'` : names)) return false;
  if (sql!.endsWith(`/* ${place} */`)) return true;
  return calls.some((call) => namesIdentity(message, call));
}

/** A session whose client is dead ends when it has worked off what the client had sent. */
async function sessionsEnded({ direct }: Stage, { applicationName }: TransferChild): Promise<void> {
  await eventually(
    async () => {
      const { rowCount } = await direct.query('select from pg_stat_activity where application_name = $1', [
        applicationName,
      ]);
      return rowCount === 0;
    },
    { timeoutMs: 60_000, what: 'the end of the sessions of the dead process' },
  );
}
