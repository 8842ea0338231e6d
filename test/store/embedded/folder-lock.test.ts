/** Who gets a folder, and who gets it after a death. */

import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/errors/configuration-error.ts';
import { lockFolder } from '../../../src/store/embedded/folder-lock.ts';
import { markThisProcess, markToName } from '../../../src/store/embedded/process-mark.ts';
import type { ProcessMark } from '../../../src/store/embedded/process-mark.ts';
import { startChild } from '../../support/child.ts';
import type { Child } from '../../support/child.ts';
import type { Outcome } from './lock-contender.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'folder-lock-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe('between processes', () => {
  it('refuses a second process, naming the holder and the ways out, until the holder lets go', async () => {
    const [holder, second] = [contender(), contender()];
    expect(await attempt(holder)).toEqual({ held: true });

    const refused = await attempt(second);
    expect(refused).toMatchObject({ held: false, message: expect.stringContaining('ConfigurationError') });
    expect(refused).toMatchObject({ message: expect.stringContaining(`process ${holder.pid}.`) });
    expect(refused).toMatchObject({ message: expect.stringMatching(/embeddedFolder.*DATABASE_URL/) });

    holder.send('release');
    await holder.message((message) => message === 'released');
    expect(await attempt(second)).toEqual({ held: true });
  });

  it('takes over from a holder that was killed', async () => {
    const holder = contender();
    expect(await attempt(holder)).toEqual({ held: true });
    await holder.kill('SIGKILL');

    const lock = await lockFolder(folder);
    expect((await claims()).length).toBe(1);
    await lock.release();
    expect(await claims()).toEqual([]);
  });

  it('gives a dead holder’s folder to exactly one of ten that race for it', { timeout: 90_000 }, async () => {
    const patience = { timeoutMs: 60_000 };
    const holder = contender();
    expect(await attempt(holder)).toEqual({ held: true });
    const racers = Array.from({ length: 10 }, contender);
    await Promise.all(racers.map((racer) => racer.message((message) => message === 'ready', patience)));
    await holder.kill('SIGKILL');

    for (const racer of racers) racer.send('lock');
    const outcomes = await Promise.all(racers.map((racer) => racer.message<Outcome>(isOutcome, patience)));

    expect(outcomes.filter((outcome) => outcome.held)).toHaveLength(1);
    const winner = racers[outcomes.findIndex((outcome) => outcome.held)];
    for (const outcome of outcomes) {
      if (!outcome.held) expect(outcome.message).toContain(`process ${winner?.pid}.`);
    }
  });
});

describe('within one process', () => {
  it('refuses a second lock of the same folder, by whatever path, and says that it is this process', async () => {
    const link = join(folder, 'link');
    const real = join(folder, 'real');
    const lock = await lockFolder(real);
    await symlink(real, link);

    await expect(lockFolder(link)).rejects.toThrow(/in use by this process .* already/);
    await lock.release();
    await lock.release();
    await (await lockFolder(link)).release();
  });

  it('gives a free folder to exactly one of ten that want it at the same instant', async () => {
    for (let round = 0; round < 20; round += 1) {
      const attempts = await Promise.allSettled(Array.from({ length: 10 }, () => lockFolder(folder)));
      const locks = attempts.filter((settled) => settled.status === 'fulfilled').map(({ value }) => value);
      expect(locks).toHaveLength(1);
      await locks[0]?.release();
    }
  });

  it('locks different folders independently', async () => {
    const locks = await Promise.all([lockFolder(join(folder, 'a')), lockFolder(join(folder, 'b'))]);
    await Promise.all(locks.map((lock) => lock.release()));
  });
});

describe('what others left behind', () => {
  it('takes over from a dead process whose pid another one has now', async () => {
    const here = await markThisProcess();
    await plant({ ...here, startTime: String(Number(here.startTime) - 1), nonce: 'before' });
    await (await lockFolder(folder)).release();
    expect(await claims()).toEqual([]);
  });

  it('is not stopped by a process that died before it had decided', async () => {
    const here = await markThisProcess();
    await plant({ ...here, startTime: String(Number(here.startTime) - 1), nonce: 'before' }, ['claim']);
    await (await lockFolder(folder)).release();
  });

  it('refuses after a bounded wait when a live process neither gets the folder nor steps back', async () => {
    // The smallest name, so that it would be the others' turn to step back.
    await plant({ ...(await markThisProcess()), nonce: '!' }, ['claim']);
    await expect(lockFolder(folder)).rejects.toThrow(`(${process.pid})`);
    expect(await claims()).toHaveLength(1);
  });

  it('refuses a folder held by a process that cannot be seen from here, and names the files to delete', async () => {
    const elsewhere = { ...(await markThisProcess()), pidNamespace: 'pid:[1]', nonce: 'n', host: 'box' };
    await plant(elsewhere);
    const refused = lockFolder(folder);
    await expect(refused).rejects.toThrow(ConfigurationError);
    await expect(refused).rejects.toThrow(/on box, another machine or container/);
    await expect(refused).rejects.toThrow(`${markToName(elsewhere)}.*`);
  });

  it('ignores files that are none of its own', async () => {
    await plant(await markThisProcess(), []);
    await writeFile(join(folder, 'lock', 'notes.txt'), '');
    await (await lockFolder(folder)).release();
    expect(await claims()).toEqual(['notes.txt']);
  });
});

it('says which folder it is that cannot be used', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  await expect(lockFolder(file)).rejects.toThrow(ConfigurationError);
  await expect(lockFolder(file)).rejects.toThrow(`The folder ${file} cannot be used`);
});

function contender(): Child {
  return startChild({ file: new URL('./lock-contender.ts', import.meta.url), args: [folder] });
}

async function attempt(child: Child): Promise<Outcome> {
  child.send('lock');
  return child.message<Outcome>(isOutcome);
}

function isOutcome(message: unknown): boolean {
  return typeof message === 'object';
}

function claims(): Promise<string[]> {
  return readdir(join(folder, 'lock')).then((files) => files.filter((file) => !file.endsWith('.held')));
}

async function plant(mark: ProcessMark, kinds: readonly string[] = ['claim', 'held']): Promise<void> {
  await mkdir(join(folder, 'lock'), { recursive: true });
  for (const kind of kinds) await writeFile(join(folder, 'lock', `${markToName(mark)}.${kind}`), '');
}
