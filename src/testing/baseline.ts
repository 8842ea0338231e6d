/** The mutation without any fault: what it does, and why nothing more can be learnt where it does not do it well. */

import type { GuardedCall } from '../guard/call.ts';
import type { Client, Reply } from './client.ts';
import { changed, lateOnes, observe } from './effects.ts';
import type { Counting, Counts, Growth } from './effects.ts';
import { areLost, errorText, names, refusedLate } from './sentences.ts';
import { VerificationError } from './verification-error.ts';
import type { FindingKind } from './verification-error.ts';

export interface Baseline {
  readonly call: GuardedCall;
  readonly reply: Reply;
  readonly expected: Counts;
  /** Effects that came only after the answer. */
  readonly late: readonly string[];
}

/** @throws VerificationError where the mutation does nothing, fails, or breaks its transaction. */
export async function runOnce(client: Client, counting: Counting, key: string): Promise<Baseline> {
  const growth = await observe(counting, () => client.send(key));
  const reply = growth.answer;
  const call = executedIn(reply);
  if (reply.call.broken !== undefined) fail(...brokenBy(call.coordinate, reply, growth.settled));
  if (reply.errors.length > 0) {
    fail(
      'inconclusive',
      [],
      `${call.coordinate}: the mutation failed without any fault: ${errorText(reply)} Call it with \`variables\` and a \`contextValue\` with which it succeeds.`,
    );
  }
  if (changed(growth.settled).length === 0) nothingGrew(call.coordinate, reply, growth, counting.settleMs);
  return { call, reply, expected: growth.settled, late: lateOnes(growth) };
}

/** Returns the call that was executed, and says what to do where there was none. */
function executedIn(reply: Reply): GuardedCall {
  const { executed, answered, several } = reply.call;
  if (several) {
    fail('inconclusive', [], 'The operation calls more than one guarded field. Verify them one by one.');
  }
  if (executed !== undefined) return executed;
  const told = reply.errors.length > 0 ? ` It was answered: ${errorText(reply)}` : '';
  if (answered === undefined) {
    return fail(
      'inconclusive',
      [],
      `The operation called no guarded field.${told} Put @idempotent on the mutation, register idempotency.plugin() in this server, and import graphql-idempotency and graphql-idempotency/testing from one installation.`,
    );
  }
  if (answered.outcome === 'replayed') {
    return fail(
      'inconclusive',
      [],
      `${answered.coordinate}: the first call was answered from a record. \`newKey\` must give a new key each time.`,
    );
  }
  if (answered.code === 'IDEMPOTENCY_KEY_MISSING' || answered.outcome === 'executed') {
    return fail(
      'inconclusive',
      [],
      `${answered.coordinate} was called without a key. It is sent as \`extensions.idempotencyKey\`, which the plugin reads; where there is no plugin, put it into the operation's variables or the context: both may be functions of the key.`,
    );
  }
  return fail('inconclusive', [], `${answered.coordinate}: nothing was executed.${told}`);
}

/** What it means that the guard could not end the transaction well. */
function brokenBy(
  field: string,
  reply: Reply,
  growth: Counts,
): readonly [kind: FindingKind, effects: readonly string[], message: string] {
  const happened = changed(growth);
  const missing = Object.keys(growth).filter((name) => growth[name] === 0);
  // The guard stores its error as the answer where the writes may be committed, and only there.
  if (reply.call.answered?.outcome === 'executed') {
    const what =
      happened.length > 0
        ? `${names(happened)} happened although the client was told that the mutation had failed: the answer is lost, and whoever calls it again with a new key has the effect doubled`
        : areLost(missing);
    return [
      'lost',
      happened.length > 0 ? happened : missing,
      `${field}: its resolver ended the transaction that was to commit together with the record (TRANSACTION_BROKEN), so ${what}. Throw to roll back, use savepoints, or begin transactions through \`idempotency.pool\` or \`idempotency.driver\`, where they become savepoints.`,
    ];
  }
  const rest =
    happened.length > 0 ? ` ${names(happened)} happened all the same, and would be doubled by a retry.` : '';
  const lost = missing.length > 0 ? `, and ${areLost(missing)}` : '';
  return [
    'lost',
    [...missing, ...happened],
    `${field}: its resolver returned a result, but its transaction could not commit (TRANSACTION_BROKEN: ${messageOf(reply.call.broken)}). It was rolled back${lost}.${rest} Most likely the resolver caught the error of a statement and went on: let the error through, or put the statement that may fail into a transaction of \`idempotency.pool\` or between savepoints.`,
  ];
}

function nothingGrew(field: string, reply: Reply, growth: Growth, settleMs: number): never {
  const counts = Object.keys(growth.settled);
  if (reply.call.lateStatements > 0) {
    const { kind, effects, message } = refusedLate(field, counts);
    return fail(kind, effects, message);
  }
  return fail(
    'inconclusive',
    counts,
    `${field}: nothing grew when the mutation was called: ${names(counts)} stayed as before. Count what it does in \`effects\`, and call it with \`variables\` with which it does it. What comes later than ${settleMs} ms after the answer needs a longer \`settleMs\`.`,
  );
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function fail(kind: FindingKind, effects: readonly string[], message: string): never {
  throw new VerificationError([{ kind, effects, scenarios: ['no fault'], message }]);
}
