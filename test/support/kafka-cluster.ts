/**
 * A private Kafka for tests: the mock cluster of librdkafka, inside a kcat that waits for messages. It has one broker,
 * makes every topic that it is asked about, with four partitions, and keeps what it gets in memory only.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ensureKcat } from '../../scripts/install-program.mjs';
import { type ServerProcess, startServerProcess } from './server-process.ts';

/** A Kafka cluster of the test's own. */
export interface KafkaCluster {
  /** Its broker's address, such as `127.0.0.1:34567`: another after each start. */
  broker(): string;
  /** Reads all that a topic has: of a partition in the order of its offsets. */
  read(topic: string): Promise<KafkaEntry[]>;
  /** Stops answering, without closing a connection. */
  freeze(): void;
  thaw(): void;
  /** Ends it, and with it all that it was given. */
  kill(): Promise<void>;
  /** Starts it again, empty, on another port. */
  start(): Promise<void>;
}

/** A message in a topic, as kcat prints it. */
export interface KafkaEntry {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly payload: string;
  readonly headers: Readonly<Record<string, string>>;
}

const READY = /Mock cluster enabled: .* replaced with (127\.0\.0\.1:\d+)\n/;

/** Starts a Kafka cluster. Ending it is the caller's: `kill`. */
export async function startKafka(): Promise<KafkaCluster> {
  const command = await ensureKcat();
  // It must be told a broker and a topic, and uses neither.
  const args = ['-C', '-b', 'none', '-t', 'none', '-o', 'end', '-X', 'test.mock.num.brokers=1'];
  const launch = (): Promise<ServerProcess> =>
    startServerProcess({ command, args, ready: READY, endWith: 'SIGKILL' });
  let server = await launch();
  let broker = brokerOf(server);
  return {
    broker: () => broker,
    async read(topic) {
      const reading = ['-C', '-b', broker, '-t', topic, '-o', 'beginning', '-e', '-q', '-J'];
      const { stdout } = await promisify(execFile)(command, reading, {
        timeout: 20_000,
        maxBuffer: Number.POSITIVE_INFINITY,
      });
      return stdout.split('\n').filter(Boolean).map(readEntry);
    },
    freeze: () => server.signal('SIGSTOP'),
    thaw: () => server.signal('SIGCONT'),
    kill: () => server.end('SIGKILL'),
    start: async () => {
      server = await launch();
      broker = brokerOf(server);
    },
  };
}

function brokerOf(server: ServerProcess): string {
  return READY.exec(server.output())![1]!;
}

function readEntry(line: string): KafkaEntry {
  const { headers = [], ...entry } = JSON.parse(line) as Omit<KafkaEntry, 'headers'> & {
    readonly headers?: readonly string[];
  };
  const { partition, offset, key, payload } = entry;
  const pairs = headers.flatMap((name, at) => (at % 2 === 0 ? [[name, headers[at + 1]!] as const] : []));
  return { partition, offset, key, payload, headers: Object.fromEntries(pairs) };
}
