/** A private RabbitMQ for tests that kill, restart or block one: a node, a cookie and a port mapper of its own. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensureRabbitMq } from '../../scripts/install-program.mjs';
import { freePort } from './free-port.ts';
import { removeFolder, temporaryFolder } from './janitor.ts';
import { startRestartable } from './restartable-server.ts';
import type { RestartableServer } from './restartable-server.ts';
import { startServerProcess } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';
import { eventually } from './signal.ts';

/** Options of `startRabbitMq`. */
export interface RabbitMqOptions {
  /** Settings as rabbitmq.conf names them, such as `{ consumer_timeout: '10000' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A RabbitMQ server of the test's own. Started again, it has what it had written. */
export interface RabbitMqServer extends RestartableServer {
  readonly url: string;
  readonly port: number;
  /** Raises or ends the alarm that memory is short, during which the broker reads from nobody who publishes. */
  alarm(raised: boolean): Promise<void>;
}

const COOKIE = 'of-this-test-alone';

/** Starts a RabbitMQ server without plugins; the user is `guest`. A start takes several seconds. */
export async function startRabbitMq({ settings = {} }: RabbitMqOptions = {}): Promise<RabbitMqServer> {
  const command = serverScript(await ensureRabbitMq());
  const folder = await temporaryFolder('rabbitmq');
  const [port, nodePort, mapperPort] = [await freePort(), await freePort(), await freePort()];
  await writeFiles(folder, { 'listeners.tcp.default': `127.0.0.1:${port}`, ...settings });
  const environment = Object.entries(variables(folder, { nodePort, mapperPort })).map(
    ([name, value]) => `${name}=${value}`,
  );
  // Else Erlang would leave one behind: it starts it as a daemon, for all nodes of the machine.
  const mapper = await startServerProcess({
    command: 'epmd',
    args: ['-d', '-address', '127.0.0.1', '-port', `${mapperPort}`],
    ready: /epmd running/,
    endWith: 'SIGKILL',
  });
  const launch = async (): Promise<ServerProcess> => {
    const started = await startServerProcess({
      command: 'env',
      args: [...environment, command],
      ready: /Starting broker/,
      endWith: 'SIGKILL',
      timeoutMs: 60_000,
    });
    await eventually(() => /completed with \d+ plugins/.test(started.output()), {
      timeoutMs: 60_000,
      what: 'the start of RabbitMQ',
    });
    return started;
  };
  try {
    const server = await startRestartable(folder, launch);
    return {
      ...server,
      url: `amqp://127.0.0.1:${port}`,
      port,
      async alarm(raised) {
        const call = `vm_memory_monitor set_vm_memory_high_watermark [${raised ? '0.0' : '0.4'}]`;
        const address = `127.0.0.1:${nodePort}`;
        await promisify(execFile)('erl_call', ['-c', COOKIE, '-address', address, '-a', call]);
      },
      remove: async () => {
        await Promise.all([server.remove(), mapper.end('SIGKILL')]);
      },
    };
  } catch (error) {
    await mapper.end('SIGKILL');
    removeFolder(folder);
    throw error;
  }
}

/** Debian puts a script in front, which changes to the user `rabbitmq` and to the folders of the system's own node. */
function serverScript(found: string): string {
  const own = '/usr/lib/rabbitmq/bin/rabbitmq-server';
  return existsSync(own) ? own : found;
}

async function writeFiles(folder: string, settings: Readonly<Record<string, string>>): Promise<void> {
  const all = { 'log.console': 'true', 'log.console.level': 'warning', 'log.file': 'false', ...settings };
  await Promise.all(['home', 'data', 'log'].map((name) => mkdir(join(folder, name))));
  const cookie = join(folder, 'home', '.erlang.cookie');
  await Promise.all([
    writeFile(
      join(folder, 'rabbitmq.conf'),
      Object.entries(all)
        .map(([name, value]) => `${name} = ${value}\n`)
        .join(''),
    ),
    writeFile(join(folder, 'plugins'), '[].\n'),
    writeFile(join(folder, 'environment'), ''),
    writeFile(cookie, COOKIE),
  ]);
  await chmod(cookie, 0o400);
}

interface NodePorts {
  readonly nodePort: number;
  readonly mapperPort: number;
}

function variables(folder: string, { nodePort, mapperPort }: NodePorts): Record<string, string> {
  return {
    HOME: join(folder, 'home'),
    // The port's number makes it one of a kind on this machine.
    RABBITMQ_NODENAME: `idempotency-${nodePort}@localhost`,
    RABBITMQ_DIST_PORT: `${nodePort}`,
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'environment'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    ERL_EPMD_PORT: `${mapperPort}`,
    ERL_FLAGS: '-start_epmd false',
    ERL_CRASH_DUMP_BYTES: '0',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '+S 2:2 +SDcpu 1:1 +SDio 2 +A 1 -kernel inet_dist_use_interface {127,0,0,1}',
    // The script then becomes the node, rather than starting it: signals reach it, and so does its end.
    detached: 'yes',
  };
}
