/** What counts as an answer: by status, by content, by code. */

import { describe, expect, test } from 'vitest';
import { RETRYABLE_CODES, judge } from '../../../src/client/engine/judge.ts';
import type { Judgement } from '../../../src/client/engine/judge.ts';
import { errorTable } from '../../../src/errors/codes.ts';
import type { ErrorCode } from '../../../src/errors/codes.ts';

const codes = Object.keys(errorTable) as ErrorCode[];
const retryable = codes.filter((code) => errorTable[code].retryable);
const kindOf = (status: number | undefined, body: unknown, keyed = true): Judgement['kind'] =>
  judge({ status, body, keyed }).kind;
const errors = (...codes: string[]): object => ({
  errors: codes.map((code) => ({ message: code, extensions: { code } })),
});

describe('the codes of this library', () => {
  test('that the client retries are those that the server calls retryable', () => {
    expect([...RETRYABLE_CODES].toSorted()).toEqual(retryable.toSorted());
  });

  test.each(retryable)('%s is no answer, wherever it appears', (code) => {
    const { status } = errorTable[code];
    for (const data of [{}, { data: null }, { data: { pay: null } }, { data: { pay: null, other: 1 } }]) {
      for (const at of [status, 200, 400, 500, undefined]) {
        expect(kindOf(at, { ...errors(code), ...data })).toBe('no-answer');
        expect(kindOf(at, { ...errors(code), ...data }, false)).toBe('no-answer');
      }
    }
  });

  // Raised with the record at hand: it says what became of the key.
  const settling = [
    'IDEMPOTENCY_KEY_EXPIRED',
    'IDEMPOTENCY_TRANSACTION_BROKEN',
    'IDEMPOTENCY_RESULT_UNSERIALIZABLE',
    'IDEMPOTENCY_RESULT_TOO_LARGE',
    'IDEMPOTENCY_RESULT_OMITTED',
    'IDEMPOTENCY_RECORD_UNREADABLE',
  ];
  test.each(settling)('%s is an answer', (code) => {
    for (const at of [errorTable[code as ErrorCode].status, 200, 503]) {
      expect(kindOf(at, errors(code))).toBe('answer');
      expect(kindOf(at, { ...errors(code), data: { pay: null } })).toBe('answer');
    }
  });

  const refusals = codes.filter((code) => !retryable.includes(code) && !settling.includes(code));
  test.each(refusals)('%s, raised before a record is looked for, is a refusal', (code) => {
    for (const at of [errorTable[code].status, 200]) {
      expect(kindOf(at, errors(code))).toBe('refusal');
      expect(kindOf(at, { ...errors(code), data: { pay: null } })).toBe('refusal');
    }
  });

  test('that this build does not know are judged by their flag, and refuse without one', () => {
    const unknown = (retryable?: boolean): object => ({
      errors: [{ extensions: { code: 'IDEMPOTENCY_NEW', retryable } }],
    });
    expect(kindOf(503, unknown(true))).toBe('no-answer');
    expect(kindOf(503, unknown(false))).toBe('refusal');
    expect(kindOf(503, unknown())).toBe('refusal');
  });

  test('KEY_REUSED is told apart: it ends what this call sent, and not what an earlier one did', () => {
    const body = errors('IDEMPOTENCY_KEY_REUSED');
    for (const status of [422, 200]) {
      expect(judge({ status, body, keyed: true })).toEqual({ kind: 'refusal', reused: true });
    }
    expect(kindOf(200, { ...body, data: { pay: null, ship: 1 } })).toBe('answer');
  });

  test('are believed when the server says that one is retryable no more', () => {
    const body = { errors: [{ extensions: { code: 'IDEMPOTENCY_OUTCOME_UNKNOWN', retryable: false } }] };
    expect(kindOf(503, body)).toBe('refusal');
  });

  test('one field that must be asked again makes the operation one that is asked again', () => {
    expect(kindOf(200, { ...errors('IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_IN_PROGRESS') })).toBe('no-answer');
    expect(kindOf(200, { data: { a: 1, b: null }, ...errors('IDEMPOTENCY_IN_PROGRESS') })).toBe('no-answer');
  });
});

describe('results', () => {
  test.each([200, 400, 409, 422, 500, 503])('data is an answer with status %d', (status) => {
    expect(kindOf(status, { data: { pay: 1 } })).toBe('answer');
    expect(kindOf(status, { data: { pay: 1 }, ...errors('OTHER') })).toBe('answer');
  });

  test("a resolver's error is an answer, also where it takes all data with it", () => {
    expect(kindOf(200, { data: { pay: null }, ...errors('CARD_DECLINED') })).toBe('answer');
    expect(kindOf(200, { data: null, ...errors('CARD_DECLINED') })).toBe('answer');
    expect(kindOf(500, { data: null, ...errors('INTERNAL_SERVER_ERROR') })).toBe('answer');
  });

  test.each(['UNAUTHENTICATED', 'FORBIDDEN'])(
    '%s without a result is a refusal: the session may be over',
    (code) => {
      expect(kindOf(200, { data: { pay: null }, ...errors(code) })).toBe('refusal');
      expect(kindOf(200, { data: null, ...errors(code) })).toBe('refusal');
      expect(kindOf(401, errors(code))).toBe('refusal');
    },
  );

  test.each(['UNAUTHENTICATED', 'FORBIDDEN'])('%s that the server remembers is an answer', (code) => {
    const told = { idempotency: { pay: { outcome: 'replayed' } } };
    expect(kindOf(200, { data: { pay: null }, ...errors(code), extensions: told })).toBe('answer');
  });

  test('a denied part of a result leaves it an answer', () => {
    expect(kindOf(200, { data: { pay: { id: 1, secret: null } }, ...errors('FORBIDDEN') })).toBe('answer');
  });

  test('a transport without a status has its results judged by what is in them', () => {
    expect(kindOf(undefined, { data: { pay: 1 } })).toBe('answer');
    expect(kindOf(undefined, errors('GRAPHQL_VALIDATION_FAILED'))).toBe('refusal');
  });
});

describe('by status', () => {
  const page = '<html>';
  const table: [number, unknown, keyed: Judgement['kind'], query: Judgement['kind']][] = [
    [200, page, 'no-answer', 'refusal'],
    [200, undefined, 'no-answer', 'refusal'],
    [200, {}, 'no-answer', 'refusal'],
    [200, [], 'no-answer', 'refusal'],
    [200, null, 'no-answer', 'refusal'],
    [200, { errors: 'text' }, 'no-answer', 'refusal'],
    [0, undefined, 'no-answer', 'refusal'],
    [204, undefined, 'no-answer', 'refusal'],
    [302, undefined, 'no-answer', 'refusal'],
    [400, page, 'refusal', 'refusal'],
    [400, errors('BAD_REQUEST'), 'refusal', 'refusal'],
    [401, page, 'refusal', 'refusal'],
    [403, page, 'refusal', 'refusal'],
    [404, page, 'refusal', 'refusal'],
    [408, page, 'no-answer', 'no-answer'],
    [413, page, 'refusal', 'refusal'],
    [425, page, 'no-answer', 'no-answer'],
    [429, page, 'no-answer', 'no-answer'],
    [429, errors('TOO_MANY'), 'no-answer', 'no-answer'],
    [429, { data: null, ...errors('TOO_MANY') }, 'no-answer', 'no-answer'],
    [500, page, 'no-answer', 'refusal'],
    [500, errors('INTERNAL_SERVER_ERROR'), 'no-answer', 'refusal'],
    [501, page, 'no-answer', 'refusal'],
    [502, page, 'no-answer', 'no-answer'],
    [503, page, 'no-answer', 'no-answer'],
    [503, errors('OVERLOADED'), 'no-answer', 'no-answer'],
    [503, { data: null, ...errors('OVERLOADED') }, 'no-answer', 'no-answer'],
    [504, page, 'no-answer', 'no-answer'],
    [520, page, 'no-answer', 'refusal'],
  ];
  test.each(table)('%d with %j: with a key %s, a query %s', (status, body, keyed, query) => {
    expect(kindOf(status, body, true)).toBe(keyed);
    expect(kindOf(status, body, false)).toBe(query);
  });
});

describe('the wait that is asked for', () => {
  const waitOf = (retryAfter: string | undefined, body: unknown): unknown => {
    const headers = new Headers(retryAfter === undefined ? {} : { 'retry-after': retryAfter });
    const judgement = judge({ status: 503, headers, body, keyed: true });
    return judgement.kind === 'no-answer' ? judgement.retryAfterMs : 'answered';
  };
  const asking = (...waits: unknown[]): object => ({
    errors: waits.map((retryAfterMs) => ({ extensions: { code: 'IDEMPOTENCY_IN_PROGRESS', retryAfterMs } })),
  });

  test('is the highest of the header and the errors', () => {
    expect(waitOf('2', '<html>')).toBe(2000);
    expect(waitOf('2', asking(300))).toBe(2000);
    expect(waitOf('2', asking(300, 4000))).toBe(4000);
    expect(waitOf(undefined, asking(300))).toBe(300);
    expect(waitOf(undefined, asking(undefined))).toBeUndefined();
  });

  test.each([-5, '300', null, {}])('is not taken from %j', (wait) => {
    expect(waitOf(undefined, asking(wait))).toBeUndefined();
    expect(waitOf('2', asking(wait))).toBe(2000);
  });
});

test('a body that only looks like a result is judged without an accident', () => {
  const bodies = [
    { data: { pay: 1 }, errors: {} },
    { data: { pay: 1 }, errors: 5 },
    { data: { pay: 1 }, errors: null },
    { data: 5, errors: [{ extensions: { code: 'FORBIDDEN' } }], extensions: null },
    { data: { pay: 1 }, errors: [null, 1, {}, { extensions: null }, { extensions: { code: 7 } }] },
  ];
  for (const body of bodies) expect(kindOf(200, body)).not.toBe('no-answer');
});
