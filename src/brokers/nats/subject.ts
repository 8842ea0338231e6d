/** Which texts are subjects that something can be published to. */

/**
 * A server answers a longer control line, 4096 bytes by default, by closing the connection, and with it everything that
 * is being published besides. The rest of that line is an inbox and two numbers.
 */
const MAX_BYTES = 3000;

// oxlint-disable-next-line no-control-regex -- the protocol ends and divides its lines by them
const UNSENDABLE = /[\s\u0000-\u001f\u007f*>]/u;

/**
 * Returns the subject.
 *
 * @throws Error saying what is wrong with it: the client checks less, and the server none of it.
 */
export function checkSubject(subject: unknown): string {
  if (typeof subject !== 'string') throw wrong(typeof subject, 'it must be text');
  if (Buffer.byteLength(subject) > MAX_BYTES) {
    throw wrong(JSON.stringify(`${subject.slice(0, 60)}…`), `it is longer than ${MAX_BYTES} bytes`);
  }
  const written = JSON.stringify(subject);
  if (UNSENDABLE.test(subject)) throw wrong(written, 'it must not have spaces, `*` or `>`');
  if (subject.split('.').includes('')) throw wrong(written, 'no part between its dots may be empty');
  return subject;
}

function wrong(subject: string, problem: string): Error {
  return new Error(
    `Nothing can be published to the NATS subject ${subject}: ${problem}. ` +
      'The subject is the topic, unless jetStreamPublisher() has an option `subject` that makes one of it.',
  );
}
