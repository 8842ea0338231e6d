/** What Postgres said is found in the errors of libraries; what others said is not taken for it. */

import { describe, expect, test } from 'vitest';
import {
  isCausedByServer,
  isServerRefusal,
  sqlStateWithin,
} from '../../../src/store/postgres/runner/library-errors.ts';

const wrapped = (error: object) => Object.assign(new Error('wrapped'), error);

describe('the code of Postgres', () => {
  test.each([
    ['of the driver', { code: '23505', severity: 'ERROR' }],
    ['in a cause', { cause: wrapped({ cause: { code: '23505' } }) }],
    [
      'of Prisma, whose own is P2010',
      { code: 'P2010', meta: { driverAdapterError: { cause: { originalCode: '23505', kind: 'postgres' } } } },
    ],
    ['of Sequelize', { original: { code: '23505' }, parent: { code: '23505' } }],
    ['of TypeORM', { driverError: { code: '23505' } }],
    ['of postgres.js', { code: '23505', routine: '_bt_check_unique' }],
    ['beside a code of the system', { code: 'EPIPE', cause: { code: '23505' } }],
  ])('is found %s', (_where, error) => {
    expect(sqlStateWithin(wrapped(error))).toBe('23505');
  });

  test.each([
    ['EPIPE of the system', { code: 'EPIPE' }],
    ['P1017 of Prisma', { code: 'P1017' }],
    ['a number', { code: 23505 }],
    ['longer text', { code: '235055' }],
  ])('is not %s', (_what, error) => {
    expect(sqlStateWithin(wrapped(error))).toBeUndefined();
  });

  test.each([[undefined], [null], ['23505'], [new Error('no')]])('is not found in %s', (error) => {
    expect(sqlStateWithin(error)).toBeUndefined();
  });

  test('is looked for no longer than it takes', () => {
    const circle: { cause?: unknown; meta?: unknown } = {};
    circle.cause = circle;
    circle.meta = circle;
    expect(sqlStateWithin(circle)).toBeUndefined();
  });
});

test.each(['GI001', '23505', '25P02', 'P0001', '55P03'])(
  '%s refuses a statement, and the session lives on',
  (code) => {
    expect(isServerRefusal({ code })).toBe(true);
    expect(isCausedByServer({ code })).toBe(false);
  },
);

test.each(['57P01', '08006', '25P03'])('%s says nothing of the statement that was under way', (code) => {
  expect(isServerRefusal({ code })).toBe(false);
});

test.each(['40001', '40P01', '57014', '08006'])('%s is Postgres’s doing', (code) => {
  expect(isCausedByServer(wrapped({ cause: { code } }))).toBe(true);
});

test('a connection that `pg` has lost is Postgres’s doing; one to others is not', () => {
  const lost = new Error('Connection terminated unexpectedly');
  expect(isCausedByServer(wrapped({ cause: lost }))).toBe(true);
  expect(
    isCausedByServer(wrapped({ cause: { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' } })),
  ).toBe(false);
});
