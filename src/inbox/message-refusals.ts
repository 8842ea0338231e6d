/** What the guard says of a call, in the words of a message: its reader consumes a queue, and has sent no key. */

import type { ErrorCode } from '../errors/codes.ts';
import { errorText } from '../errors/error-text.ts';
import { IdempotencyError } from '../errors/idempotency-error.ts';

const words: { readonly [Code in ErrorCode]?: string } = {
  IDEMPOTENCY_KEY_REUSED:
    'a message of this id was handled before with another payload. This one was not handled. Whoever sends them must give each message an id of its own.',
  IDEMPOTENCY_IN_PROGRESS:
    'this message is being handled by another delivery of it. This one has to come again.',
  IDEMPOTENCY_OUTCOME_UNKNOWN: 'it is not known yet whether this message was handled. It has to come again.',
  IDEMPOTENCY_STORE_UNAVAILABLE:
    'the record store cannot be used now. The message was not handled, and has to come again.',
  IDEMPOTENCY_TRANSACTION_ABORTED: 'the transaction did not commit. The message has to come again.',
  IDEMPOTENCY_LEASE_LOST:
    'the attempt lost its lease, so its outcome does not count. The message has to come again.',
  IDEMPOTENCY_PAYLOAD_UNSUPPORTED:
    'its payload holds what cannot be compared with another delivery, such as a Map, a function or NaN. It was not handled. Hand it over as a Buffer.',
  IDEMPOTENCY_PAYLOAD_TOO_LARGE:
    'its payload is more than can be compared with another delivery: see `maxPayloadDepth` and `maxPayloadNodes`. It was not handled. Hand it over as a Buffer.',
  IDEMPOTENCY_RECORD_UNREADABLE:
    'the record that says that this message was handled cannot be read. It is not handled again.',
};

/** Returns the guard's refusal under the same code; whatever else it gets, as it is. */
export function inWordsOfMessages(error: unknown, name: string): unknown {
  if (!(error instanceof IdempotencyError)) return error;
  const { code, retryable, retryAfterMs } = error.extensions;
  const text = words[code];
  if (text === undefined) return error;
  return new IdempotencyError(code, `${name}: ${text}`, {
    retryable,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    cause: error.cause,
  });
}

/** What is noted of a failure, for operators: with what was underneath, which no client may see. */
export function noted(error: unknown): string {
  const text = errorText(error);
  if (!(error instanceof IdempotencyError) || error.cause === undefined) return text;
  return `${text} (${errorText(error.cause)})`;
}
