import { describe, expect, it } from 'vitest';
import { type Child, startChild } from './child.ts';
import type { AtFaultPoint } from './fault-point.ts';
import { eventually } from './signal.ts';

const file = new URL('./fixtures/greeter.ts', import.meta.url);
let left: Child | undefined;

describe('a child process', () => {
  it('is a TypeScript file with its arguments, whose lines and messages are waited for', async () => {
    const child = startChild({ file, args: ['there', 'you'] });
    expect(await child.line(/hello/)).toBe('hello there you');
    await child.line(/still here/);
    child.send({ n: 1 });
    expect(await child.message<{ echo: unknown }>(({ echo }) => echo !== undefined)).toEqual({
      echo: { n: 1 },
    });
  });

  it('imports the package by its name, wherever it runs', async () => {
    const child = startChild({ file: new URL('./fixtures/named-import.ts', import.meta.url) });
    expect(await child.line(/imported/)).toBe('imported function');
  });

  it('dies at a named point as by kill -9, and runs nothing after it', async () => {
    const child = startChild({ file, env: { KILL_AT: 'somewhere-else,after-hello' } });
    expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
    expect(child.output()).toContain('hello');
    expect(child.output()).not.toContain('still here');
  });

  it('waits at a named point until it is told to go on', async () => {
    const child = startChild({ file, env: { PAUSE_AT: 'after-hello' } });
    expect(await child.message<AtFaultPoint>((message) => 'at' in message)).toEqual({ at: 'after-hello' });
    expect(child.output()).not.toContain('still here');
    child.send('go on');
    await child.line(/still here/);
  });

  it('fails the wait for a line when it ends without it', async () => {
    const child = startChild({ file });
    const waiting = expect(child.line(/never printed/)).rejects.toThrow(/SIGTERM.*hello/s);
    await child.line(/still here/);
    expect(await child.kill('SIGTERM')).toEqual({ code: null, signal: 'SIGTERM' });
    await waiting;
  });

  it('can be left running at the end of a test', async () => {
    left = startChild({ file });
    await left.line(/still here/);
  });

  it('has been killed when the next test begins', async () => {
    expect(await left?.exited).toMatchObject({ signal: 'SIGKILL' });
    await eventually(() => !isAlive(left?.pid ?? 0));
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
