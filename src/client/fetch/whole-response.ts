/** A response that is there to its last byte: a body that breaks off is no answer. */

import { judge } from '../engine/judge.ts';
import type { Judgement } from '../engine/judge.ts';
import { parseJson } from '../engine/parse-json.ts';

export interface WholeResponse {
  readonly response: Response;
  readonly judgement: Judgement;
}

/**
 * Reads a response to its end and judges it.
 *
 * @throws what reading the body failed with.
 */
export async function readWhole(
  response: Response,
  keyed: boolean,
  caller: AbortSignal | null,
): Promise<WholeResponse> {
  const { status, headers } = response;
  const type = headers.get('content-type') ?? '';
  // Parts that come over time are the reader's: the first of them is sent when the operation is executed.
  if (response.ok && /^(multipart\/mixed|text\/event-stream)/i.test(type)) {
    return { response: abortable(response, caller), judgement: { kind: 'answer' } };
  }
  // A status of 0 hides what was received; a `Response` of it can't be made.
  if (status < 200) return { response, judgement: judge({ status, body: undefined, keyed }) };
  const text = await response.text();
  const judgement = judge({ status, headers, body: parseJson(text), keyed });
  const hasBody = ![204, 205, 304].includes(status);
  return { response: rebuilt(response, hasBody ? text : null), judgement };
}

/** The attempt is over when its first part is there, and its signal with it: from then on the caller's counts. */
function abortable(response: Response, caller: AbortSignal | null): Response {
  if (caller === null || response.body === null) return response;
  return rebuilt(response, response.body.pipeThrough(new TransformStream(), { signal: caller }));
}

function rebuilt(response: Response, body: string | ReadableStream | null): Response {
  const { status, statusText, headers, url } = response;
  const built = new Response(body, { status, statusText, headers });
  Object.defineProperty(built, 'url', { value: url });
  return built;
}
