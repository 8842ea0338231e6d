/** Cuts what a client writes into batches that a server answers completely: whole messages up to a boundary. */

/** Messages that belong together, and whether their answer ends in ReadyForQuery. */
export interface Batch {
  readonly bytes: Buffer;
  readonly endsInReady: boolean;
}

const tags = { query: 0x51, sync: 0x53, call: 0x46, flush: 0x48, terminate: 0x58, ready: 0x5a } as const;
const readyBytes = 6;

export class BatchFramer {
  #started = false;
  #rest: Buffer = Buffer.alloc(0);
  #open: Buffer[] = [];

  /** Takes bytes in and gives the batches that are complete. @throws Error when they are not the protocol. */
  take(chunk: Uint8Array): Batch[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const batches: Batch[] = [];
    for (let message = this.#next(); message !== undefined; message = this.#next()) {
      const batch = this.#add(message);
      if (batch !== undefined) batches.push(batch);
    }
    return batches;
  }

  #next(): Buffer | undefined {
    // The startup packet alone has no tag before its length.
    const tagBytes = this.#started ? 1 : 0;
    if (this.#rest.length < tagBytes + 4) return undefined;
    const length = this.#rest.readInt32BE(tagBytes);
    if (length < 4) throw new Error('A message of the Postgres protocol has an impossible length.');
    if (this.#rest.length < tagBytes + length) return undefined;
    const message = this.#rest.subarray(0, tagBytes + length);
    this.#rest = this.#rest.subarray(tagBytes + length);
    return message;
  }

  #add(message: Buffer): Batch | undefined {
    if (!this.#started) {
      this.#started = true;
      return { bytes: message, endsInReady: true };
    }
    const tag = message[0];
    // Terminate has no answer, and the session that it would end is shared.
    if (tag === tags.terminate) return undefined;
    this.#open.push(message);
    const endsInReady = tag === tags.query || tag === tags.sync || tag === tags.call;
    if (!endsInReady && tag !== tags.flush) return undefined;
    const bytes = Buffer.concat(this.#open);
    this.#open = [];
    return { bytes, endsInReady };
  }
}

/** Encodes statements as simple queries. */
export function simpleQuery(sql: string): Buffer {
  const text = Buffer.from(`${sql}\0`);
  const head = Buffer.alloc(5);
  head[0] = tags.query;
  head.writeInt32BE(text.length + 4, 1);
  return Buffer.concat([head, text]);
}

/** The message that ends a series of extended-protocol messages. */
export const sync: Buffer = Buffer.from([tags.sync, 0, 0, 0, 4]);

/**
 * Says which transaction status an answer ends with: `I`, `T` or `E`; `undefined` where it is cut short, or
 * ready twice over, as PGlite before 0.5.11 is after an error: `pg` would take the second for the answer to
 * its next statement.
 */
export function closingStatus(answer: Buffer): string | undefined {
  const status = readyStatus(answer);
  return readyStatus(answer.subarray(0, -readyBytes)) === undefined ? status : undefined;
}

function readyStatus(answer: Buffer): string | undefined {
  if (answer.length < readyBytes) return undefined;
  const end = answer.subarray(-readyBytes);
  return end[0] === tags.ready && end.readInt32BE(1) === readyBytes - 1
    ? end.toString('latin1', 5)
    : undefined;
}
