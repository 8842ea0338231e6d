/** Postgres's wire protocol, version 3: where each message ends, and what the tests choose messages by. */

/** The two ends of a connection. */
export type Side = 'client' | 'server';

/** One message of the protocol, on its way through the proxy. */
export interface WireMessage {
  readonly from: Side;
  readonly type: string;
  /** Of a Query or Parse: its SQL. Of a Bind, Describe or Execute: the SQL that its Parse had. */
  readonly sql?: string;
  /** Of a CommandComplete: such as `COMMIT` or `INSERT 0 1`. */
  readonly tag?: string;
  /** Of an ErrorResponse or NoticeResponse: its SQLSTATE. */
  readonly sqlState?: string;
  /** Of a ReadyForQuery: `I` idle, `T` in a transaction, `E` in a failed one. */
  readonly status?: string;
  readonly bytes: Buffer;
}

/** Turns chunks into whole messages; what is left of a chunk waits for the next one. */
export type Framer = (chunk: Buffer) => WireMessage[];

/** Makes the framer for what clients send: the first message has no type byte, and SQL is remembered by name. */
export function clientFramer(): Framer {
  const statements = new Map<string, string>();
  const portals = new Map<string, string>();
  let started = false;
  const decode = (bytes: Buffer): WireMessage => {
    const type = clientTypes[letter(bytes)] ?? letter(bytes);
    const sql = sqlOf(type, bytes, statements, portals);
    return { from: 'client', type, bytes, ...(sql !== undefined && { sql }) };
  };
  return framer((rest) => {
    if (started) return typed(rest, decode);
    const length = rest.length >= 8 ? rest.readInt32BE(0) : Infinity;
    if (rest.length < length) return undefined;
    const bytes = rest.subarray(0, length);
    const type = untypedByCode[bytes.readInt32BE(4)] ?? 'Startup';
    // A refused request for encryption is followed by another untyped message.
    started = type === 'Startup';
    return { from: 'client', type, bytes };
  });
}

/** Makes the framer for what servers send. */
export function serverFramer(): Framer {
  return framer((rest) => typed(rest, decodeServer));
}

const clientTypes: Readonly<Record<string, string>> = {
  Q: 'Query',
  P: 'Parse',
  B: 'Bind',
  D: 'Describe',
  E: 'Execute',
  S: 'Sync',
  H: 'Flush',
  C: 'Close',
  X: 'Terminate',
  p: 'Password',
  d: 'CopyData',
  c: 'CopyDone',
  f: 'CopyFail',
};

const serverTypes: Readonly<Record<string, string>> = {
  R: 'Authentication',
  C: 'CommandComplete',
  Z: 'ReadyForQuery',
  E: 'ErrorResponse',
  N: 'NoticeResponse',
  D: 'DataRow',
  T: 'RowDescription',
  '1': 'ParseComplete',
  '2': 'BindComplete',
  n: 'NoData',
  S: 'ParameterStatus',
  K: 'BackendKeyData',
  I: 'EmptyQueryResponse',
};

const untypedByCode: Readonly<Record<number, string>> = {
  80877102: 'CancelRequest',
  80877103: 'SSLRequest',
  80877104: 'GSSENCRequest',
};

function framer(next: (rest: Buffer) => WireMessage | undefined): Framer {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const messages: WireMessage[] = [];
    for (let message = next(rest); message !== undefined; message = next(rest)) {
      messages.push(message);
      rest = rest.subarray(message.bytes.length);
    }
    return messages;
  };
}

function typed(rest: Buffer, decode: (bytes: Buffer) => WireMessage): WireMessage | undefined {
  if (rest.length < 5) return undefined;
  const length = 1 + rest.readInt32BE(1);
  return rest.length < length ? undefined : decode(rest.subarray(0, length));
}

function decodeServer(bytes: Buffer): WireMessage {
  const type = serverTypes[letter(bytes)] ?? letter(bytes);
  const message = { from: 'server', type, bytes } as const;
  if (type === 'CommandComplete') return { ...message, tag: textAt(bytes, 5) };
  if (type === 'ReadyForQuery') return { ...message, status: String.fromCharCode(bytes[5] ?? 0) };
  if (type === 'ErrorResponse' || type === 'NoticeResponse')
    return { ...message, sqlState: sqlStateOf(bytes) };
  return message;
}

function sqlOf(
  type: string,
  bytes: Buffer,
  statements: Map<string, string>,
  portals: Map<string, string>,
): string | undefined {
  const first = textAt(bytes, 5);
  const second = (): string => textAt(bytes, 5 + Buffer.byteLength(first) + 1);
  switch (type) {
    case 'Query':
      return first;
    case 'Parse':
      statements.set(first, second());
      return second();
    case 'Bind':
      portals.set(first, statements.get(second()) ?? '');
      return portals.get(first);
    case 'Execute':
      return portals.get(first);
    case 'Describe':
      return (bytes[5] === 0x53 ? statements : portals).get(textAt(bytes, 6));
    default:
      return undefined;
  }
}

/** Fields are a letter and a text each; `C` is the SQLSTATE. */
function sqlStateOf(bytes: Buffer): string {
  for (let at = 5; bytes[at] !== 0 && at < bytes.length; at += 1) {
    const text = textAt(bytes, at + 1);
    if (bytes[at] === 0x43) return text;
    at += Buffer.byteLength(text) + 1;
  }
  return '';
}

function textAt(bytes: Buffer, start: number): string {
  const end = bytes.indexOf(0, start);
  return bytes.toString('utf8', start, end === -1 ? bytes.length : end);
}

function letter(bytes: Buffer): string {
  return String.fromCharCode(bytes[0] ?? 0);
}
