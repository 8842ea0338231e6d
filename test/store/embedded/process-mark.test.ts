/** Telling the living from the dead. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { fateOf, markThisProcess, markToName, nameToMark } from '../../../src/store/embedded/process-mark.ts';
import type { ProcessMark } from '../../../src/store/embedded/process-mark.ts';
import { eventually } from '../../support/signal.ts';

const here = await markThisProcess();
const hasProc = await access('/proc/self/stat').then(
  () => true,
  () => false,
);

it('a process finds itself alive', async () => {
  expect(await fateOf(here, here)).toBe('alive');
});

it('a mark survives being a file name, whatever the host is called', () => {
  for (const host of ['box', 'a,b/c', '../x', 'ü%2C', '']) {
    const mark: ProcessMark = { ...here, host };
    expect(markToName(mark)).not.toContain('/');
    expect(nameToMark(markToName(mark))).toEqual(mark);
  }
  expect(nameToMark('notes.txt')).toBeUndefined();
});

it('a pid that nobody has is dead', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  expect(await fateOf({ ...here, pid: child.pid! }, here)).toBe('dead');
  expect(await fateOf(withoutProc({ ...here, pid: child.pid! }), withoutProc(here))).toBe('dead');
});

it('a pid that has passed to a later process is dead', async () => {
  expect(await fateOf({ ...here, startTime: `${here.startTime}0` }, here)).toBe(hasProc ? 'dead' : 'alive');
});

it('a process on a platform that tells no start time is alive as long as its pid is taken', async () => {
  expect(await fateOf(withoutProc(here), withoutProc(here))).toBe('alive');
});

it('an earlier boot of this machine is dead, and another machine cannot be judged', async () => {
  const [mark, now] = [
    { ...here, boot: 'one' },
    { ...here, boot: 'two' },
  ];
  expect(await fateOf(mark, now)).toBe('dead');
  expect(await fateOf({ ...mark, host: 'another' }, now)).toBe('hidden');
  expect(await fateOf({ ...withoutProc(here), host: 'another' }, withoutProc(here))).toBe('hidden');
});

it('a process of another container cannot be judged, though its pid means something here', async () => {
  expect(await fateOf({ ...here, pidNamespace: 'pid:[1]' }, here)).toBe('hidden');
});

it.runIf(hasProc)('a killed process that its parent never asks about is dead', async () => {
  // The shell becomes a `sleep`, which waits for no child.
  const parent = spawn('sh', ['-c', 'sleep 1000 & echo $!; exec sleep 1000']);
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  const mark = { ...here, pid, startTime: await startTimeOf(pid) };
  expect(await fateOf(mark, here)).toBe('alive');
  await eventually(async () => (await readFile(`/proc/${parent.pid}/comm`, 'utf8')) === 'sleep\n');

  process.kill(pid, 'SIGKILL');
  await eventually(async () => / Z /.test(await readFile(`/proc/${pid}/stat`, 'utf8')));
  expect(await fateOf(mark, here)).toBe('dead');
});

it.runIf(hasProc)('a program’s name with parentheses and spaces hides nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'process-mark-'));
  const program = join(folder, 'x) Z 1 (y');
  await symlink('/bin/sleep', program);
  const child = spawn(program, ['1000']);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });
  await eventually(async () => (await readFile(`/proc/${child.pid}/comm`, 'utf8')) === 'x) Z 1 (y\n');
  const mark = { ...here, pid: child.pid!, startTime: await startTimeOf(child.pid!) };
  expect(await fateOf(mark, here)).toBe('alive');
  expect(await fateOf({ ...mark, startTime: '1' }, here)).toBe('dead');
});

function withoutProc(mark: ProcessMark): ProcessMark {
  return { ...mark, startTime: '', boot: '', pidNamespace: '' };
}

/** Counted from the end of the line, where no name can be in the way: 22nd of 52 fields. */
async function startTimeOf(pid: number): Promise<string> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).trim().split(' ');
  return fields[fields.length - 31]!;
}
