/** Redis's request protocol, as far as the name of each command. */

/** Takes chunks of what a client sends; returns the commands that are complete, in upper case. */
export function respRequests(): (chunk: Buffer) => string[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const commands: string[] = [];
    for (let request = readRequest(rest); request !== undefined; request = readRequest(rest)) {
      commands.push(request.command);
      rest = rest.subarray(request.length);
    }
    return commands;
  };
}

/** A request is an array of byte strings: `*2`, `$3`, `GET`, `$1`, `k`, each ended by CR LF. */
function readRequest(bytes: Buffer): { readonly command: string; readonly length: number } | undefined {
  let at = 0;
  const readNumber = (): number | undefined => {
    const end = bytes.indexOf('\r\n', at);
    if (end === -1) return undefined;
    const value = Number(bytes.toString('latin1', at + 1, end));
    at = end + 2;
    return value;
  };
  const parts = readNumber();
  if (parts === undefined) return undefined;
  let command = '';
  for (let part = 0; part < parts; part += 1) {
    const size = readNumber();
    if (size === undefined || bytes.length < at + size + 2) return undefined;
    if (part === 0) command = bytes.toString('latin1', at, at + size).toUpperCase();
    at += size + 2;
  }
  return { command, length: at };
}
