/**
 * Confluent's client fits by its types. It is installed from a package of its own, without the program that it would
 * download: that one is not needed to compile, and the client cannot run without it.
 */

import { execFile } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { run } from '../../../scripts/examples/run.mjs';
import { removeFolder, temporaryFolder } from '../../support/janitor.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const home = fileURLToPath(new URL('confluent', import.meta.url));

const fitting = `
import { KafkaJS } from '@confluentinc/kafka-javascript';
import { eachKafkaMessage, kafkaPublisher } from 'graphql-idempotency/kafka';

const client = new KafkaJS.Kafka({ kafkaJS: { brokers: ['localhost:9092'] } });
const producer = client.producer({ kafkaJS: { idempotent: true, acks: -1 }, 'delivery.timeout.ms': 20_000 });
export const publisher = kafkaPublisher({ producer });
const consumer = client.consumer({ kafkaJS: { groupId: 'ledger' } });
await consumer.run({ eachMessage: eachKafkaMessage(({ messageId }) => console.log(messageId)) });
`;

/** Each of its last two lines is a mistake. */
const unfit = `
import { KafkaJS, Producer } from '@confluentinc/kafka-javascript';
import { kafkaPublisher } from 'graphql-idempotency/kafka';
kafkaPublisher({ producer: new Producer({ 'metadata.broker.list': 'localhost:9092' }) });
kafkaPublisher({ producer: new KafkaJS.Kafka().consumer({ kafkaJS: { groupId: 'ledger' } }) });
`;

test("a producer of Confluent's client compiles; its consumer and its other producer do not", async () => {
  const folder = await temporaryFolder('confluent');
  onTestFinished(() => removeFolder(folder));
  cpSync(home, folder, { recursive: true, filter: (path) => !path.includes('node_modules') });
  await run('npm', ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], folder);
  writeFileSync(join(folder, 'fitting.ts'), fitting);
  writeFileSync(join(folder, 'unfit.ts'), unfit);
  const errors = (await compile(folder)).split('\n').filter((line) => /error TS\d+/.test(line));
  expect(errors.map((line) => /^(\S+)\((\d+),/.exec(line)?.slice(1).join(':'))).toEqual([
    'unfit.ts:4',
    'unfit.ts:5',
  ]);
  for (const error of errors) expect(error).toContain('send');
}, 120_000);

/** Returns what the compiler has to say: as strict as for the library, and against its source. */
async function compile(folder: string): Promise<string> {
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      typeRoots: [join(root, 'node_modules', '@types')],
      paths: { 'graphql-idempotency/kafka': [join(root, 'src/brokers/kafka/kafka.ts')] },
    },
    include: ['*.ts'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(root, 'node_modules', '.bin', 'tsc');
  return promisify(execFile)(compiler, ['-p', folder, '--pretty', 'false'], { cwd: folder }).then(
    ({ stdout }) => stdout,
    (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
  );
}
