/** What came back: an answer that settles the intent, a refusal of this one attempt, or no answer at all. */

import { readRetryAfter } from './retry-after.ts';
import type { AnswerHeaders } from './retry-after.ts';

export type Judgement =
  /** The server executed the operation, or says for good why it will not. */
  | { readonly kind: 'answer' }
  /** This attempt was not executed, and another one would fare no better. Says nothing of earlier attempts. */
  | {
      readonly kind: 'refusal';
      /** The key belongs to other content: so ends what this call sent, and not what an earlier one did. */
      readonly reused?: true;
    }
  /** Nobody can say what became of this attempt, or the server asks for another one. */
  | { readonly kind: 'no-answer'; readonly retryAfterMs?: number | undefined };

export interface Received {
  /** HTTP status; absent where the transport has none. */
  readonly status?: number | undefined;
  readonly headers?: AnswerHeaders | undefined;
  /** The GraphQL response, where the body was one. */
  readonly body: unknown;
  /** Whether it went out with a key, and may go out again whatever happened. */
  readonly keyed: boolean;
}

/** Codes of the server's errors that the same key may be sent again for. */
export const RETRYABLE_CODES: ReadonlySet<string> = new Set([
  'IDEMPOTENCY_IN_PROGRESS',
  'IDEMPOTENCY_OUTCOME_UNKNOWN',
  'IDEMPOTENCY_STORE_UNAVAILABLE',
  'IDEMPOTENCY_TRANSACTION_ABORTED',
  'IDEMPOTENCY_LEASE_LOST',
]);

/** Final codes that say what became of the key. The other final ones come before anybody looks for its record. */
const SETTLING_CODES: ReadonlySet<string> = new Set([
  'IDEMPOTENCY_KEY_EXPIRED',
  'IDEMPOTENCY_TRANSACTION_BROKEN',
  'IDEMPOTENCY_RESULT_UNSERIALIZABLE',
  'IDEMPOTENCY_RESULT_TOO_LARGE',
  'IDEMPOTENCY_RESULT_OMITTED',
  'IDEMPOTENCY_RECORD_UNREADABLE',
]);

/** What the layers around the guard refuse with: the user's session ended between two attempts. */
const SIGNED_OUT_CODES: ReadonlySet<string> = new Set(['UNAUTHENTICATED', 'FORBIDDEN']);

/** Client errors that are about the moment, not about the request. */
const PASSING = new Set([408, 425, 429]);
const OVERLOADED = new Set([...PASSING, 502, 503, 504]);

interface GraphQLBody {
  readonly data?: unknown;
  readonly errors?: readonly { readonly extensions?: Readonly<Record<string, unknown>> | undefined }[];
  readonly extensions?: Readonly<Record<string, unknown>> | null;
}

/**
 * Judges what the server sent. The codes of this library come first, wherever they appear: in an HTTP error, in
 * a result with status 200, with either content type.
 */
export function judge({ status = 200, headers, body, keyed }: Received): Judgement {
  let retryAfterMs = readRetryAfter(headers);
  if (!isGraphQL(body)) {
    // A proxy's page, a truncated body, a crash: only a client error tells that nothing was executed.
    const refused = status >= 400 && status < 500 && !PASSING.has(status);
    return OVERLOADED.has(status) || (keyed && !refused)
      ? { kind: 'no-answer', retryAfterMs }
      : { kind: 'refusal' };
  }
  let retryable = false;
  let settled = false;
  let refused = false;
  let reused = false;
  for (const error of Array.isArray(body.errors) ? body.errors : []) {
    const extensions = error?.extensions;
    const code = extensions?.['code'];
    if (typeof code !== 'string') continue;
    const ours = code.startsWith('IDEMPOTENCY_');
    if (ours && (extensions?.['retryable'] ?? RETRYABLE_CODES.has(code))) {
      retryable = true;
      const askedMs = extensions?.['retryAfterMs'];
      if (typeof askedMs === 'number' && askedMs >= 0) retryAfterMs = Math.max(askedMs, retryAfterMs ?? 0);
    } else if (code === 'IDEMPOTENCY_KEY_REUSED') {
      reused = true;
    } else if (SETTLING_CODES.has(code)) {
      settled = true;
    } else if (ours || SIGNED_OUT_CODES.has(code)) {
      refused = true;
    }
  }
  if (retryable) return { kind: 'no-answer', retryAfterMs };
  if (settled) return { kind: 'answer' };
  if (refused && !tellsOfExecution(body)) return { kind: 'refusal' };
  if (reused && !tellsOfExecution(body)) return { kind: 'refusal', reused };
  if (isPresent(body.data)) return { kind: 'answer' };
  if (OVERLOADED.has(status)) return { kind: 'no-answer', retryAfterMs };
  if ('data' in body) return { kind: 'answer' };
  // What broke may have broken behind the execution, on the answer's way out.
  return keyed && status >= 500 ? { kind: 'no-answer', retryAfterMs } : { kind: 'refusal' };
}

function isGraphQL(body: unknown): body is GraphQLBody {
  if (typeof body !== 'object' || body === null) return false;
  return 'data' in body || Array.isArray((body as GraphQLBody).errors);
}

/** Of a field with a result, or of a record: an error that was stored is replayed as the answer. */
function tellsOfExecution({ data, extensions }: GraphQLBody): boolean {
  return isPresent(extensions?.['idempotency']) || Object.values(data ?? {}).some(isPresent);
}

function isPresent(data: unknown): boolean {
  return data !== null && data !== undefined;
}
