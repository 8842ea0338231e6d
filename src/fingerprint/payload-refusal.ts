/** Says why arguments have no canonical form, by path and kind, never by value. */

import { IdempotencyError } from '../errors/idempotency-error.ts';

/** Ends a canonical walk. Internal to this room; callers get the `IdempotencyError` made from it. */
export class PayloadRefusal extends Error {
  override readonly name = 'PayloadRefusal';
  readonly code: 'IDEMPOTENCY_PAYLOAD_UNSUPPORTED' | 'IDEMPOTENCY_PAYLOAD_TOO_LARGE';
  /** For example `input.items[3].meta`; ends where a custom scalar begins, because its keys are data. */
  readonly path: string;

  constructor(code: PayloadRefusal['code'], problem: string, path: string, cause?: unknown) {
    super(problem, { cause });
    this.code = code;
    this.path = path;
  }
}

/** Returns what the client is told. */
export function payloadError(coordinate: string, refusal: PayloadRefusal): IdempotencyError {
  const place = refusal.path === '' ? 'its arguments' : `its argument "${refusal.path}"`;
  const message =
    refusal.code === 'IDEMPOTENCY_PAYLOAD_TOO_LARGE'
      ? `${coordinate}: ${place} exceeded the limit ${refusal.message}. Nothing was executed.`
      : `${coordinate}: ${place} holds ${refusal.message}, which cannot be compared between retries. ` +
        'Nothing was executed. Leave it out, on a field with `@idempotent(ignore:)`, and take a digest of it instead.';
  return new IdempotencyError(refusal.code, message, { cause: refusal.cause });
}
