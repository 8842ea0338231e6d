// @ts-check
/** The ways in which `mutation.mjs` breaks the library on purpose, and which test each one must turn red. */

const promises = 'test/mutation/promises.test.ts';
const functions = 'test/store/postgres/complete-function.test.ts';

/**
 * `find` is text, or a pattern, that must occur exactly once in the file.
 * @typedef {{ file: string, find: string | RegExp, replace: string }} Edit
 *
 * `red` names tests that must fail. `green` names tests that must hold all the same, because another layer
 * keeps the promise.
 * @typedef {{ name: string, edits: readonly Edit[], test: string, red?: string, green?: string }} Mutation
 */

const recordStatementDisabled = [
  {
    file: 'src/store/postgres/attempt.ts',
    find: /const statements = \[\s*restore[^\]]*\.completeStatement\([^\]]*COMMIT,\s*\];/,
    replace: 'const statements = [COMMIT];',
  },
  {
    file: 'src/store/postgres/outcome.ts',
    find: 'const row = answer.results.at(-2)?.rows[0] as unknown as CompleteRow;',
    replace: 'const row = { completed_ms: Date.now(), wrote: true } as unknown as CompleteRow;',
  },
];

const markerIgnored = {
  file: 'schema/postgres/0001_record.sql',
  find: "if current_setting('idempotency.attempt', true) is distinct from p_attempt then",
  replace: 'if false then',
};

const lease = 'schema/postgres/0002_lease.sql';
const races = 'test/store/postgres/lease-races.test.ts';
const released = 'test/store/postgres/release-lease-function.test.ts';

const eventId = 'src/outbox/event-id.ts';
const relayStatements = 'src/store/postgres/events/relay-statements.ts';
const claimedEvents = 'src/store/postgres/events/claim-events.ts';
const outboxStore = 'test/store/postgres/outbox-store.test.ts';
const lostClaims = 'test/outbox/lost-claims.test.ts';

const storedIntents = 'test/client/intents/stored-intents.test.ts';

const swallowed = 'a resolver that swallowed an SQL error is not a success';
const primaryKey = 'where the lock does not keep two attempts apart, the primary key does';

/** @type {readonly Mutation[]} */
export const mutations = [
  {
    name: 'the record statement is not sent: the tag of COMMIT alone still tells',
    edits: recordStatementDisabled,
    test: promises,
    green: swallowed,
  },
  {
    name: 'the tag of COMMIT is ignored as well',
    edits: [
      ...recordStatementDisabled,
      {
        file: 'src/store/postgres/outcome.ts',
        find: "if (committed?.command !== 'COMMIT') {",
        replace: 'if (committed === undefined) {',
      },
    ],
    test: promises,
    red: swallowed,
  },
  {
    name: 'Redis is written before COMMIT',
    edits: [
      {
        file: 'src/guard/transaction/run-attempt.ts',
        find: "const completion = await claim.attempt.complete(newRecord(context, call, 'result', body));",
        replace: `const early = newRecord(context, call, 'result', body);
  remember(
    context,
    call,
    {
      ...early,
      state: 'completed',
      encryptionKeyId: null,
      completedMs: claim.clockMs,
      expiresMs: claim.clockMs + call.ttlMs,
      takeoverMs: claim.clockMs + call.ttlMs,
    },
    claim.origin,
  );
  const completion = await claim.attempt.complete(early);`,
      },
    ],
    test: promises,
    red: 'what fails at COMMIT is in neither tier, and a retry executes',
  },
  {
    name: 'the primary key arbitrates no more',
    edits: [
      {
        file: 'schema/postgres/0001_record.sql',
        find: 'constraint record_pkey primary key (identity),',
        replace: '',
      },
      {
        file: 'schema/postgres/0002_lease.sql',
        find: /constraint step_record_fkey foreign key .*,/,
        replace: '',
      },
      {
        file: 'schema/postgres/0001_record.sql',
        find: /on conflict on constraint record_pkey do update set[^;]*;/,
        replace: ';',
      },
    ],
    test: promises,
    red: primaryKey,
  },
  {
    name: 'COMMIT travels with a record insert that cannot raise',
    edits: [
      {
        file: 'schema/postgres/0001_record.sql',
        find: /if not found then\s*raise exception using errcode = 'GI001'[^;]*;\s*end if;/,
        replace: '',
      },
    ],
    test: promises,
    red: primaryKey,
  },
  {
    name: 'the record is inserted with ON CONFLICT DO NOTHING',
    edits: [
      {
        file: 'schema/postgres/0001_record.sql',
        find: /on conflict on constraint record_pkey do update set[^;]*;\s*if not found then[^;]*;\s*end if;/,
        replace: 'on conflict do nothing;',
      },
    ],
    test: promises,
    red: primaryKey,
  },
  {
    name: 'the scope is left out of the identity',
    edits: [{ file: 'src/key/identity.ts', find: '...text(parts.scope),', replace: '' }],
    test: promises,
    red: 'another user’s key is another key',
  },
  {
    name: 'a miss in Redis is believed',
    edits: [
      {
        file: 'src/guard/passage.ts',
        find: 'const decision = decide({ ...call, ...claim });',
        replace: 'const decision = decide({ ...call, ...claim, record: undefined, granted: true });',
      },
    ],
    test: promises,
    red: 'what Redis has lost, Postgres still knows',
  },
  {
    name: 'the marker of the attempt is not checked by the record statement',
    edits: [markerIgnored],
    test: functions,
    red: 'after somebody’s COMMIT',
  },
  {
    name: 'nothing notices that the transaction was ended',
    edits: [
      markerIgnored,
      {
        file: 'src/store/postgres/attempt.ts',
        find: 'if (session.boundaries !== boundaries) {',
        replace: 'if (session.boundaries < 0) {',
      },
    ],
    test: promises,
    red: 'an attempt whose transaction was ended in spite of everything is not a success',
  },
  {
    name: 'a client that timed out goes back to its pool',
    edits: [
      {
        file: 'src/store/postgres/session.ts',
        find: 'startDeadline(timeoutMs, () => this.destroy(new Error(`no answer for ${timeoutMs} ms`)))',
        replace: 'startDeadline(timeoutMs, () => {})',
      },
      {
        file: 'src/store/postgres/session.ts',
        find: 'await this.client.query(config)',
        replace: 'await this.client.query({ ...config, query_timeout: timeoutMs } as never)',
      },
      {
        file: 'src/store/postgres/session.ts',
        find: /await this\.settled\(\);\s*return \{ kind: 'failed', error \};/,
        replace: "return { kind: 'failed', error };",
      },
      {
        file: 'src/store/postgres/session.ts',
        find: /this\.#onDeath\(reason\);\s*cut\(this\.client\);/,
        replace: 'this.#onDeath(reason);',
      },
      {
        file: 'src/store/postgres/session.ts',
        find: 'this.client.release(true);',
        replace: 'this.client.release();',
      },
    ],
    test: promises,
    red: 'a connection that timed out is never handed to the next caller',
  },
  {
    name: 'the handle outlives its resolver',
    edits: [{ file: 'src/store/postgres/statement-queue.ts', find: 'this.#open = false;', replace: '' }],
    test: promises,
    red: 'the transaction is over for its resolver when the resolver settles',
  },
  {
    name: 'queued statements are left to run behind the transaction',
    edits: [
      {
        file: 'src/store/postgres/statement-queue.ts',
        find: 'return this.#last ?? settled;',
        replace: 'return settled;',
      },
    ],
    test: promises,
    red: 'what a resolver left in the queue runs inside its transaction, or not at all',
  },
  {
    name: 'the fingerprint ignores the value of a custom scalar',
    edits: [
      {
        file: 'src/fingerprint/scalar-form.ts',
        find: 'writer.date(milliseconds);',
        replace: 'writer.date(0);',
      },
    ],
    test: promises,
    red: 'the value of a custom scalar makes another intent',
  },
  {
    name: 'every duplicate looks up for itself',
    edits: [
      {
        file: 'src/guard/passage.ts',
        find: 'if (flight === undefined) {',
        replace: 'if (flight === flight) {',
      },
    ],
    test: promises,
    red: 'duplicates that arrive together make one look-up',
  },
  {
    name: 'a lease is completed without its fence',
    edits: [
      {
        file: lease,
        find: /where r\.identity = p_identity and r\.fence = p_fence and r\.state = 'pending'(?=\s*returning)/,
        replace: 'where r.identity = p_identity',
      },
    ],
    test: races,
    red: 'taken over first: the completion changes nothing, and says so',
  },
  {
    name: 'a takeover asks for nothing but the identity',
    edits: [
      {
        file: 'src/store/postgres/lease-statements.ts',
        find: /and r\.fence = \$\{literal\(seen\)\}\s*and \(r\.state = 'unknown' or r\.state = 'pending' and r\.lease_until <= clock_timestamp\(\)\)/,
        replace: "and r.state <> 'completed'",
      },
    ],
    test: races,
    red: 'renewed first: the takeover finds a lease that lives, and changes nothing',
  },
  {
    name: 'a step is journaled without locking its record',
    edits: [{ file: lease, find: /\n\s*for share;/, replace: ';' }],
    test: races,
    red: 'a takeover that waits for a step’s commit returns the journal with that step',
  },
  {
    name: 'the journal is read with the snapshot of the takeover',
    edits: [
      {
        file: 'src/store/postgres/own-transaction.ts',
        find: '[BEGIN, ...statements, end]',
        replace: "['begin isolation level repeatable read', ...statements, end]",
      },
    ],
    test: 'test/store/postgres/lease-store.test.ts',
    red: 'a takeover that waits for a step’s commit hands the step over',
  },
  {
    name: 'an attempt with recorded steps frees its key',
    edits: [
      {
        file: lease,
        find: /p_settled or r\.attempt = 1 and not exists \([^)]*\)/,
        replace: 'p_settled or r.attempt = 1',
      },
    ],
    test: released,
    red: 'where a step is recorded',
  },
  {
    name: 'a later attempt frees its key',
    edits: [{ file: lease, find: 'p_settled or r.attempt = 1 and not', replace: 'p_settled or not' }],
    test: released,
    red: 'where another attempt came before',
  },
  {
    name: 'a lost lease is noticed, and nobody told',
    edits: [{ file: 'src/guard/lease/keep-lease.ts', find: 'controller?.abort(reason);', replace: '' }],
    test: 'test/guard/lease/lost.test.ts',
    red: 'the signal aborts, and the caller gets LEASE_LOST, although the resolver never settles',
  },
  {
    name: 'an attempt completes although it has not called a recorded step',
    edits: [
      {
        file: 'src/guard/lease/run-lease.ts',
        find: 'if (uncalled.length === 0) return undefined;',
        replace: 'if (uncalled.length >= 0) return undefined;',
      },
    ],
    test: 'test/guard/lease/step-errors.test.ts',
    red: 'it returned',
  },
  {
    name: 'every attempt of the client has a key of its own',
    edits: [
      {
        file: 'src/client/fetch/idempotent-fetch.ts',
        find: 'fetchOnce(request, { ...init, signal });',
        replace: "fetchOnce(request, { ...init, headers: { 'idempotency-key': randomKey() }, signal });",
      },
    ],
    test: storedIntents,
    red: 'is kept without an answer, and sent again with its key by the next page',
  },
  {
    name: 'a refusal counts, although an earlier attempt may have been executed',
    edits: [
      {
        file: 'src/client/engine/until-answered.ts',
        find: 'if (!open || sending.key === undefined) return settle(sent);',
        replace: 'if (sent !== undefined) return settle(sent);',
      },
    ],
    test: storedIntents,
    red: 'not when a later one is refused',
  },
  {
    name: 'the client trusts its timer alone with the deadline',
    edits: [
      {
        file: 'src/client/engine/until-answered.ts',
        find: 'controller.signal.aborted || leftMs() <= 0',
        replace: 'controller.signal.aborted',
      },
    ],
    test: 'test/client/engine/waiting.test.ts',
    red: 'through a wait sends nothing after the deadline, though its timers come late',
  },
  {
    name: 'a second click begins a second intent',
    edits: [
      {
        file: 'src/client/react/mutation-calls.ts',
        find: 'if (before?.promise !== undefined) return before.promise;',
        replace: '',
      },
    ],
    test: 'test/client/react/intents.test.ts',
    red: 'a double click is one intent',
  },
  {
    name: 'outbox: the events that wait for COMMIT are not sent with it',
    edits: [
      {
        file: 'src/store/postgres/attempt.ts',
        find: /\.\.\.handle\.heldEvents\(\),(?=\s*context\.completeStatement)/,
        replace: '',
      },
    ],
    test: 'test/outbox/committed.test.ts',
    red: 'a replay publishes nothing anew',
  },
  {
    name: 'outbox: the events that wait for COMMIT go on waiting at a savepoint',
    edits: [
      {
        file: 'src/store/postgres/events/attempt-events.ts',
        find: 'direct = true;\n      send(held);\n      held = [];',
        replace: '',
      },
    ],
    test: 'test/outbox/savepoints.test.ts',
    red: 'through tx: what was added behind it is gone, what was before and after is there',
  },
  {
    name: 'outbox: an event is inserted in whatever transaction there is',
    edits: [
      {
        file: 'schema/postgres/0003_outbox.sql',
        find: "if current_setting('idempotency.attempt', true) is distinct from p_attempt then",
        replace: 'if false then',
      },
    ],
    test: 'test/outbox/graphql.test.ts',
    red: 'without a key, an event is not added to what is left of a transaction that was ended underneath',
  },
  {
    name: 'outbox: the next execution of a key repeats the ids of the last',
    edits: [
      {
        file: eventId,
        find: 'return `${ttlMs}:${Math.floor(clockMs / ttlMs)}`;',
        replace: 'return `${ttlMs}:${Math.min(0, clockMs)}`;',
      },
    ],
    test: 'test/outbox/event-ids.test.ts',
    red: 'commits events of its own, although those of before are dead letters',
  },
  {
    name: 'relay: a claim is renewed and ended without its token',
    edits: [
      {
        file: relayStatements,
        find: '`${among(positions)} and o.claim = ${literal(token)}::uuid`',
        replace: '`${among(positions)} and ${literal(token)}::uuid is not null`',
      },
    ],
    test: outboxStore,
    red: 'learns it from its renewal, and does not renew the other’s',
  },
  {
    name: 'relay: an event does not wait for those of its key in front of it',
    edits: [
      {
        file: claimedEvents,
        find: 'where not p.is_paused and p.behind is null and p.silenced <=',
        replace: 'where not p.is_paused and p.silenced <=',
      },
    ],
    test: 'test/outbox/order.test.ts',
    red: 'a dead letter holds its key, and no other, until it is redriven',
  },
  {
    name: 'relay: an event is parked without a lock on what it is parked for',
    edits: [
      {
        file: claimedEvents,
        find: 'where e.position = p.behind for key share skip locked',
        replace: 'where e.position = p.behind',
      },
    ],
    test: outboxStore,
    red: 'what is parked while the one in front goes is woken by that',
  },
  {
    name: 'relay: the one is woken that stands behind the last that has gone',
    edits: [
      {
        file: relayStatements,
        find: 'before > BigInt(position)',
        replace: 'before < BigInt(position)',
      },
    ],
    test: 'test/outbox/parked.test.ts',
    red: 'one that is committed late, between two that a relay holds, is woken when those have gone',
  },
  {
    name: 'relay: a claim without an answer gives back what others hold',
    edits: [
      {
        file: relayStatements,
        find: /and o\.claim = \$\{literal\(token\)\}::uuid(?=\s+and o\.available_at)/,
        replace: 'and ${literal(token)}::uuid is not null',
      },
    ],
    test: lostClaims,
    red: 'what a claim took whose answer is lost is ready at once, and nothing is counted',
  },
  {
    name: 'relay: a claim without an answer is looked for only once',
    edits: [
      {
        file: 'src/store/postgres/events/outbox-store.ts',
        find: "if (committed.kind === 'committed' && committed.results[1]!.rowCount !== 0) return;",
        replace: "if (committed.kind === 'committed') return;",
      },
    ],
    test: lostClaims,
    red: 'a claim that Postgres finishes after somebody has looked for it is given back, too',
  },
  {
    name: 'inbox: a message has the identity of a client’s key',
    edits: [
      {
        file: 'src/key/identity.ts',
        find: "const INBOX_TAG = Buffer.from('graphql-idempotency/inbox\\0', 'latin1');",
        replace: 'const INBOX_TAG = IDENTITY_TAG;',
      },
    ],
    test: 'test/inbox/once.test.ts',
    red: 'no client’s key is a message’s, and no message’s id a client’s key',
  },
  {
    name: 'inbox: that another consumer is at it counts as a failure',
    edits: [
      {
        file: 'src/inbox/judge-failure.ts',
        find: "      return 'transient';\n    case 'IDEMPOTENCY_OUTCOME_UNKNOWN':",
        replace: "      return 'failed';\n    case 'IDEMPOTENCY_OUTCOME_UNKNOWN':",
      },
    ],
    test: 'test/inbox/once.test.ts',
    red: 'of two copies at the same instant one is handled, and the other comes again, which is no failure',
  },
  {
    name: 'inbox: what is handled keeps its failures',
    edits: [
      {
        file: 'schema/postgres/0004_inbox.sql',
        find: "starts_with(new.coordinate, 'inbox.'))",
        replace: "starts_with(new.coordinate, 'outbox.'))",
      },
    ],
    test: 'test/inbox/failures.test.ts',
    red: 'one that is handled in the end leaves nothing behind',
  },
];

/**
 * Applies an edit to the text of its file.
 * @param {Edit} edit
 * @param {string} text
 * @returns {string}
 */
export function applyEdit({ file, find, replace }, text) {
  const pieces = text.split(find);
  if (pieces.length !== 2) {
    throw new Error(
      `${file}: ${String(find)} occurs ${pieces.length - 1} times instead of once. Mend scripts/mutations.mjs.`,
    );
  }
  return pieces.join(replace);
}
