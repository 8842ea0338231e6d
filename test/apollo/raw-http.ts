/** HTTP requests as they are: repeated headers, any bytes in a header, a socket to be torn off. */

import { request } from 'node:http';
import type { ClientRequest } from 'node:http';
import type { Reply } from '../support/service.ts';

export interface RawRequest {
  readonly method?: 'GET' | 'POST';
  readonly path?: string;
  /** Sent in this order, a name as often as it is listed. Each character of a value is one byte. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: unknown;
}

/** Sends a request as user alice, and reads the whole answer. */
export async function sendRaw(url: string, raw: RawRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    open(url, raw)
      .on('error', reject)
      .on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const body = parsed(text);
          const headers = new Headers();
          for (const [name, value] of Object.entries(response.headers)) headers.set(name, String(value));
          resolve({
            status: response.statusCode ?? 0,
            headers,
            body,
            code: (body as { errors?: { extensions?: { code?: string } }[] }).errors?.[0]?.extensions?.code,
          });
        });
      });
  });
}

/** Sends a request whose answer nobody waits for. */
export function sendAndForget(url: string, raw: RawRequest): ClientRequest {
  return open(url, raw).on('error', () => {});
}

/** The UTF-8 bytes of a text, one character each: what a client that knows no better puts into a header. */
export function utf8Bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function open(url: string, { method = 'POST', path = '', headers = [], body }: RawRequest): ClientRequest {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  const named = (wanted: string): boolean => headers.some(([name]) => name.toLowerCase() === wanted);
  const all: (readonly [string, string])[] = [
    ['host', new URL(url).host],
    ['authorization', 'Bearer alice'],
    ['connection', 'close'],
    ...(method === 'GET' ? [] : [['content-length', String(Buffer.byteLength(text))] as const]),
    ...(method === 'GET' || named('content-type') ? [] : [['content-type', 'application/json'] as const]),
    ...headers,
  ];
  const sent = request(new URL(path, url), {
    method,
    headers: all.flat() as unknown as Record<string, string>,
  });
  sent.end(text);
  return sent;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
