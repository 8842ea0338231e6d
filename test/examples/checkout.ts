/** The checkout of the payments example over HTTP: its switches, and requests that say what they like. */

import { request } from 'node:http';

export interface Answer {
  readonly status: number | undefined;
  readonly body: string;
}

/** What is sent; without keep-alive, and with the headers as they are: `fetch` has its own mind about some. */
export interface RawRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
}

/** How the switches are. */
export async function troubleNow(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${url}checkout/trouble`);
  if (!response.ok) throw new Error(`The switches answered ${response.status}`);
  return (await response.json()) as Record<string, unknown>;
}

export async function switchTo(url: string, trouble: object): Promise<Answer> {
  return sendRaw(`${url}checkout/trouble`, { body: trouble });
}

export async function sendRaw(
  url: string,
  { method = 'POST', headers = {}, body }: RawRequest,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { method, agent: false, headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => (text += chunk))
          .on('end', () => resolve({ status: response.statusCode, body: text }))
          .on('error', reject);
      },
    );
    sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}
