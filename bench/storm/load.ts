/** The load on the server: requests by time of arrival, over the normal load. */

const BIN_MS = 10;

export class Load {
  readonly #bins: number[] = [];

  count(nowMs: number): void {
    const bin = Math.floor(nowMs / BIN_MS);
    // No holes: they would be read as nothing at all.
    while (this.#bins.length <= bin) this.#bins.push(0);
    this.#bins[bin]! += 1;
  }

  /** Requests in each `binMs`, from the beginning to `untilMs`, over `normal` requests per second. */
  overNormal(normal: number, { binMs, untilMs }: { binMs: number; untilMs: number }): number[] {
    const usual = (normal * binMs) / 1000;
    return Array.from({ length: Math.floor(untilMs / binMs) }, (_, bin) => {
      const from = (bin * binMs) / BIN_MS;
      const requests = this.#bins.slice(from, from + binMs / BIN_MS).reduce((sum, count) => sum + count, 0);
      return requests / usual;
    });
  }
}
