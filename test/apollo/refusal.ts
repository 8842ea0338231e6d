/** What every refusal of a whole operation has in common. */

import { expect } from 'vitest';
import { errorTable } from '../../src/errors/codes.ts';
import type { ErrorCode } from '../../src/errors/codes.ts';
import type { Reply } from '../support/service.ts';

type ShortCode = ErrorCode extends infer Code
  ? Code extends `IDEMPOTENCY_${infer Short}`
    ? Short
    : never
  : never;

/** Expects the code, the status that the contract gives it, and a response without `data`. */
export function expectRefusal(reply: Reply, code: ShortCode, status: number): void {
  expectRefusalWithMark(reply, code, status);
  expect(Object.keys(reply.body as object)).toEqual(['errors']);
}

/** The same for a refusal that is stored as the answer, and therefore says whether it is the first one. */
export function expectRefusalWithMark(reply: Reply, code: ShortCode, status: number): void {
  expect({ code: reply.code, status: reply.status }).toEqual({ code: `IDEMPOTENCY_${code}`, status });
  expect(reply.body).not.toHaveProperty('data');
  const { errors } = reply.body as { errors: { extensions: Record<string, unknown> }[] };
  expect(errors).toHaveLength(1);
  const { retryable } = errorTable[`IDEMPOTENCY_${code}`];
  expect(errors[0]!.extensions['retryable']).toBe(retryable);
  expect(errors[0]!.extensions).not.toHaveProperty('http');
}
