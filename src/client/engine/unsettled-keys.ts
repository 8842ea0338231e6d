/** The keys of this process whose outcome is unknown: when one is sent again, a refusal settles nothing. */

/** Beyond this the oldest are forgotten: a long outage must not fill the memory of a server. */
const MOST = 10_000;

const keys = new Set<string>();

export const unsettledKeys = {
  add(key: string): void {
    keys.delete(key);
    keys.add(key);
    if (keys.size > MOST) keys.delete(keys.values().next().value!);
  },
  settle(key: string | undefined): void {
    if (key !== undefined) keys.delete(key);
  },
  has(key: string | undefined): boolean {
    return key !== undefined && keys.has(key);
  },
};
