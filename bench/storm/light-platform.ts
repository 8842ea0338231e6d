/**
 * The platform's `AbortController`, `Headers` and `Response`, as far as the client uses them. The real ones take
 * half of the time, and change nothing: a test compares.
 */

export interface Platform {
  readonly AbortController: unknown;
  readonly Headers: unknown;
  readonly Response: unknown;
}

class LightSignal {
  aborted = false;
  reason: unknown = undefined;
  readonly #listeners: (() => void)[] = [];

  addEventListener(_: 'abort', listener: () => void): void {
    this.#listeners.push(listener);
  }

  removeEventListener(_: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at >= 0) this.#listeners.splice(at, 1);
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    for (const listener of this.#listeners.splice(0)) listener();
  }
}

class LightAbortController {
  readonly signal = new LightSignal();

  abort(reason: unknown): void {
    this.signal.abort(reason);
  }
}

class LightHeaders {
  readonly #values: Map<string, string>;

  constructor(from: LightHeaders | Readonly<Record<string, string>> = {}) {
    this.#values = new Map(from instanceof LightHeaders ? from.#values : Object.entries(from));
  }

  get(name: string): string | null {
    return this.#values.get(name) ?? null;
  }

  set(name: string, value: string): void {
    this.#values.set(name, value);
  }
}

class LightResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: LightHeaders;
  readonly url = '';
  readonly #text: string;

  constructor(text: string, { status, statusText, headers }: ResponseInit) {
    this.#text = text;
    this.status = status ?? 200;
    this.statusText = statusText ?? '';
    this.headers = new LightHeaders(headers as unknown as LightHeaders);
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  async text(): Promise<string> {
    return this.#text;
  }
}

export const LIGHT_PLATFORM: Platform = {
  AbortController: LightAbortController,
  Headers: LightHeaders,
  Response: LightResponse,
};
