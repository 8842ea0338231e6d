/** Deadlines of a process that is busy with itself. */

import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { startDeadline } from '../../src/store/deadline.ts';
import { redisUrl } from '../support/database.ts';

test('an answer that lies unread when the time is up comes first', async () => {
  const { hostname, port } = new URL(redisUrl());
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  const events: string[] = [];
  const answered = once(socket, 'data').then(() => {
    events.push('answered');
    cancel();
  });
  const cancel = startDeadline(5, () => events.push('expired'));
  socket.write('PING\r\n');
  await new Promise<void>((resolve) => {
    setImmediate(() => {
      // Redis answers meanwhile, and has a processor for that; this process reads nothing.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
      resolve();
    });
  });
  await answered;
  expect(events).toEqual(['answered']);
  socket.destroy();
});

test('the time is up when nothing answers', async () => {
  await new Promise<void>((resolve) => {
    startDeadline(5, resolve);
  });
});
