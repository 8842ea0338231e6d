import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startChild } from './child.ts';
import { removeFolder, temporaryFolder } from './janitor.ts';

const file = new URL('./fixtures/installer.ts', import.meta.url);
let checkout: string;
let lock: string;

beforeEach(async () => {
  checkout = await temporaryFolder('checkout');
  mkdirSync(join(checkout, '.data'));
  lock = join(checkout, '.data', 'install.lock');
  const entry = { version: '1.0.0', integrity: 'sha512-x' };
  const packages = { '': {}, 'node_modules/a': entry };
  writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify({ packages }));
});

afterEach(() => removeFolder(checkout));

describe('installing a checkout', () => {
  it('happens once when several processes start at the same time', async () => {
    const children = [install(), install(), install()];
    for (const child of children) expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(installs()).toHaveLength(1);
    expect(readdirSync(join(checkout, '.data'))).toEqual([]);
  });

  it('does not happen again while the lock file has not changed, and does when it has', async () => {
    await install().exited;
    await install().exited;
    expect(installs()).toHaveLength(1);
    const changed = { packages: { '': {}, 'node_modules/a': { version: '2.0.0', integrity: 'sha512-y' } } };
    writeFileSync(join(checkout, 'package-lock.json'), JSON.stringify(changed));
    await install().exited;
    expect(installs()).toHaveLength(2);
  });

  it('takes over from a process that was killed while it installed, once, when its npm has ended', async () => {
    const killed = install({ INSTALL_HANGS: 'yes' });
    const npm = Number(/\d+/.exec(await killed.line(/npm has started/))?.[0]);
    await killed.kill();
    const children = [install(), install(), install()];
    for (const child of children) await child.line(/waiting for it/);
    expect(installs()).toHaveLength(1);
    process.kill(npm, 'SIGKILL');
    for (const child of children) expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(installs()).toHaveLength(2);
  });

  it('takes over a lock whose pid lives again as somebody else, because its heartbeat stopped', async () => {
    writeFileSync(lock, JSON.stringify({ pid: process.pid, token: 'of an earlier boot' }));
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(lock, longAgo, longAgo);
    expect(await install().exited).toEqual({ code: 0, signal: null });
  });

  it('fails when npm does, and leaves no lock', async () => {
    const child = install({ INSTALL_FAILS: 'yes' });
    expect((await child.exited).code).toBe(1);
    expect(child.output()).toMatch(/npm ci failed \(exit code 3\)/);
    expect(existsSync(lock)).toBe(false);
  });
});

describe('a machine without redis-server', () => {
  it('is told how to get it, where nothing may be installed', () => {
    const script = `
      process.getuid = () => 1000;
      const { ensureRedis } = await import(${JSON.stringify(new URL('../../scripts/install-program.mjs', import.meta.url).href)});
      await ensureRedis({ folders: ['/nowhere'] }).catch((error) => console.log(error.message));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    expect(stdout).toMatch(/redis-server is needed and not on the PATH\. Install it/);
  });
});

function install(env: Record<string, string> = {}): ReturnType<typeof startChild> {
  const npm = new URL('./fixtures/npm-cli.js', import.meta.url).pathname;
  return startChild({ file, args: [checkout], env: { npm_execpath: npm, ...env } });
}

function installs(): string[] {
  return readFileSync(join(checkout, 'installs.txt'), 'utf8').trim().split('\n');
}
