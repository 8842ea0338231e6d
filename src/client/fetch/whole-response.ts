/** A response that is there to its last byte: a body that breaks off is no answer. */

import { judge } from '../engine/judge.ts';
import type { Judgement } from '../engine/judge.ts';

export interface WholeResponse {
  readonly response: Response;
  readonly judgement: Judgement;
}

/**
 * Reads a response to its end and judges it.
 *
 * @throws what reading the body failed with.
 */
export async function readWhole(response: Response, keyed: boolean): Promise<WholeResponse> {
  const { status, statusText, headers } = response;
  const type = headers.get('content-type') ?? '';
  // Parts that come over time are the reader's: the first of them is sent when the operation is executed.
  if (response.ok && /^(multipart\/mixed|text\/event-stream)/i.test(type)) {
    return { response, judgement: { kind: 'answer' } };
  }
  // A status of 0 hides what was received; a `Response` of it can't be made.
  if (status < 200) return { response, judgement: judge({ status, body: undefined, keyed }) };
  const text = await response.text();
  const judgement = judge({ status, headers, body: parse(text), keyed });
  const hasBody = ![204, 205, 304].includes(status);
  const whole = new Response(hasBody ? text : null, { status, statusText, headers });
  Object.defineProperty(whole, 'url', { value: response.url });
  return { response: whole, judgement };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
