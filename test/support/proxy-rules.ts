/** Which message a proxy does something to, and what. */

import type { Side, WireMessage } from './postgres-wire.ts';
import { deferred } from './signal.ts';

/** A message, and which of the proxy's connections it came over. */
export interface ProxiedMessage extends WireMessage {
  readonly connection: number;
}

/** Chooses messages; everything that is given must hold. */
export interface MessageMatch {
  readonly connection?: number;
  readonly from?: Side;
  readonly type?: string;
  /** Matches a Query and a Parse, and the Bind and Execute of that Parse. */
  readonly sql?: RegExp;
  readonly tag?: RegExp | string;
  readonly where?: (message: WireMessage) => boolean;
}

/**
 * What is done to the message.
 *
 * - `observe`: nothing; the rule only tells that it came.
 * - `hold`: it and all behind it in its direction wait for `release`.
 * - `blackhole`: the same, and the other direction waits as well.
 * - `drop`: it alone is left out.
 * - `hold-answer`: it goes on, and everything in the other direction waits for `release`.
 * - `cut-before`, `cut-after`: the connection ends without it, or with it as the last message passed on.
 * - `{ delayMs }`: it and all behind it in its direction wait so long.
 */
export type ProxyAction =
  | 'observe'
  | 'hold'
  | 'blackhole'
  | 'drop'
  | 'hold-answer'
  | 'cut-before'
  | 'cut-after'
  | { readonly delayMs: number };

/** A rule that waits for its message. */
export interface ProxyRule {
  /** Resolves with the first message that matched. */
  readonly matched: Promise<ProxiedMessage>;
  /** Lets go what it holds, and matches nothing any more. */
  release(): void;
}

/** What a rule can do to the message's connection. */
export interface MessageControls {
  hold(): () => void;
  holdOpposite(): () => void;
  cut(afterwards: boolean): void;
}

interface ActiveRule {
  readonly match: MessageMatch;
  readonly action: ProxyAction;
  readonly announce: (message: ProxiedMessage) => void;
  readonly releases: (() => void)[];
  remaining: number;
}

/** The rules of one proxy. */
export class ProxyRules {
  #rules: ActiveRule[] = [];
  #kept: (() => void)[] = [];

  add(match: MessageMatch, action: ProxyAction, times = 1): ProxyRule {
    const { promise, resolve } = deferred<ProxiedMessage>();
    const rule: ActiveRule = { match, action, announce: resolve, releases: [], remaining: times };
    this.#rules.push(rule);
    return {
      matched: promise,
      release: () => {
        rule.remaining = 0;
        for (const release of rule.releases.splice(0)) release();
      },
    };
  }

  /** Keeps the release of a hold that no rule made, for `clear`. */
  keep(release: () => void): void {
    this.#kept.push(release);
  }

  /** Forgets all rules and releases everything that is held. */
  clear(): void {
    const releases = [...this.#rules.flatMap((rule) => rule.releases), ...this.#kept];
    this.#rules = [];
    this.#kept = [];
    for (const release of releases) release();
  }

  /** Applies every observing rule and the first other one that matches; `true` passes the message on now. */
  apply(message: ProxiedMessage, controls: MessageControls): boolean {
    for (const rule of this.#rules) {
      if (rule.remaining === 0 || !matches(rule.match, message)) continue;
      rule.remaining -= 1;
      const passOn = act(rule, controls);
      rule.announce(message);
      if (rule.action !== 'observe') return passOn;
    }
    return true;
  }
}

function act({ action, releases }: ActiveRule, controls: MessageControls): boolean {
  switch (action) {
    case 'observe':
      return true;
    case 'drop':
      return false;
    case 'hold':
      releases.push(controls.hold());
      return false;
    case 'blackhole':
      releases.push(controls.hold(), controls.holdOpposite());
      return false;
    case 'hold-answer':
      releases.push(controls.holdOpposite());
      return true;
    case 'cut-before':
      controls.cut(false);
      return false;
    case 'cut-after':
      controls.cut(true);
      return false;
    default: {
      const release = controls.hold();
      releases.push(release);
      setTimeout(release, action.delayMs);
      return false;
    }
  }
}

function matches(
  { connection, from, type, sql, tag, where }: MessageMatch,
  message: ProxiedMessage,
): boolean {
  if (connection !== undefined && connection !== message.connection) return false;
  if (from !== undefined && from !== message.from) return false;
  if (type !== undefined && type !== message.type) return false;
  if (sql !== undefined && (message.sql === undefined || !sql.test(message.sql))) return false;
  if (typeof tag === 'string' && tag !== message.tag) return false;
  if (tag instanceof RegExp && (message.tag === undefined || !tag.test(message.tag))) return false;
  return where?.(message) ?? true;
}
