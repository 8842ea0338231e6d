import { connect, type Socket } from 'node:net';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from './database.ts';
import { type PostgresProxy, startPostgresProxy } from './postgres-proxy.ts';
import { eventually } from './signal.ts';

let database: TestDatabase;
let proxy: PostgresProxy;
let direct: pg.Client;

beforeAll(async () => {
  database = await createDatabase();
  direct = await connected(database.url);
  await direct.query('create table notes (id integer primary key, text text)');
});

afterAll(async () => {
  await direct.end();
  await database.drop();
});

beforeEach(async () => {
  await direct.query('truncate notes');
  proxy = await startPostgresProxy({ target: database.url, replyDelayMs: 25 });
});

afterEach(async () => {
  await proxy.close();
});

describe('counting', () => {
  it('counts a round trip for each statement of a client that waits', async () => {
    const client = await connectedThroughProxy();
    await client.query('begin');
    await client.query('insert into notes values ($1, $2)', [1, 'one']);
    await client.query('commit');
    expect(proxy.counts()).toEqual({
      connections: 1,
      roundTrips: 3,
      statements: ['begin', 'insert into notes values ($1, $2)', 'commit'],
      commits: 1,
      rollbacks: 0,
      autocommits: 0,
    });
  });

  it('counts one round trip for statements sent without waiting', async () => {
    const client = await connectedThroughProxy({ pipeline: true });
    await Promise.all([
      client.query('begin'),
      client.query('insert into notes values ($1, $2)', [1, 'one']),
      client.query('select * from notes'),
      client.query('commit'),
    ]);
    expect(proxy.counts()).toMatchObject({ roundTrips: 1, commits: 1, autocommits: 0 });
    expect(proxy.counts().statements).toHaveLength(4);
  });

  it('counts what Postgres commits by itself apart from the commits that were asked for', async () => {
    const client = await connectedThroughProxy();
    await client.query('insert into notes values ($1, $2)', [1, 'one']);
    await client.query("begin; insert into notes values (2, 'two'); commit");
    await client.query('begin');
    await client.query('select 1 / 0').catch(() => undefined);
    await client.query('commit');
    expect(proxy.counts()).toMatchObject({ autocommits: 1, commits: 1, rollbacks: 1, roundTrips: 5 });
  });

  it('knows the SQL behind a named prepared statement that is executed again', async () => {
    const client = await connectedThroughProxy();
    const query = { name: 'find', text: 'select * from notes where id = $1' };
    await client.query({ ...query, values: [1] });
    await client.query({ ...query, values: [2] });
    expect(proxy.counts().statements).toEqual([query.text, query.text]);
  });

  it('starts again from zero when it is reset', async () => {
    const client = await connectedThroughProxy();
    await client.query('select 1');
    proxy.reset();
    expect(proxy.counts()).toMatchObject({ connections: 0, roundTrips: 0, statements: [] });
    await client.query('select 2');
    expect(proxy.counts()).toMatchObject({ connections: 0, roundTrips: 1, statements: ['select 2'] });
  });
});

describe('one chosen message', () => {
  it('holds a COMMIT until it is released, and what the transaction wrote stays invisible', async () => {
    const client = await connectedThroughProxy();
    const commit = proxy.on({ from: 'client', sql: /^commit/i }, 'hold');
    await client.query('begin');
    await client.query("insert into notes values (1, 'one')");
    const answer = client.query('commit');
    await commit.matched;
    expect(await count()).toBe(0);
    commit.release();
    await answer;
    expect(await count()).toBe(1);
  });

  it('splits a pipelined burst exactly at the chosen message', async () => {
    const client = await connectedThroughProxy({ pipeline: true });
    const held = proxy.on({ from: 'client', type: 'Query', sql: /^commit/i }, 'hold');
    const insert = client.query('insert into notes values ($1, $2)', [1, 'one']);
    const rest = [client.query('begin'), client.query('commit')];
    await held.matched;
    await insert;
    expect(await count()).toBe(1);
    // Its BEGIN was passed on, and may still be under way.
    await eventually(async () => (await sessions())[0] === 'idle in transaction');
    expect(await sessions()).toEqual(['idle in transaction']);
    held.release();
    await Promise.all(rest);
    expect(await sessions()).toEqual(['idle']);
  });

  it('cuts before a COMMIT, which the server then never sees', async () => {
    const client = await connectedThroughProxy();
    proxy.on({ from: 'client', sql: /^commit/i }, 'cut-before');
    await client.query('begin');
    await client.query("insert into notes values (1, 'one')");
    await expect(client.query('commit')).rejects.toThrow();
    await eventually(async () => (await sessions()).length === 0);
    expect(await count()).toBe(0);
  });

  it('cuts after a COMMIT, which the server then carries out unheard', async () => {
    const client = await connectedThroughProxy();
    proxy.on({ from: 'client', sql: /^commit/i }, 'cut-after');
    await client.query('begin');
    await client.query("insert into notes values (1, 'one')");
    await expect(client.query('commit')).rejects.toThrow();
    await eventually(async () => (await count()) === 1);
  });

  it('cuts after the answer to a COMMIT, which the client still gets', async () => {
    const client = await connectedThroughProxy();
    proxy.on({ from: 'server', type: 'ReadyForQuery', where: ({ status }) => status === 'T' }, 'cut-after');
    await client.query('begin');
    await expect(client.query('select 1')).rejects.toThrow();
  });

  it('holds the answer to a COMMIT that has happened', async () => {
    const client = await connectedThroughProxy();
    const answered = proxy.on({ from: 'server', tag: 'COMMIT' }, 'hold');
    await client.query('begin');
    await client.query("insert into notes values (1, 'one')");
    const answer = client.query('commit');
    expect(await answered.matched).toMatchObject({ type: 'CommandComplete', tag: 'COMMIT' });
    expect(await count()).toBe(1);
    answered.release();
    await answer;
  });

  it('drops a single message and passes on the next', async () => {
    const client = await connectedThroughProxy();
    const dropped = proxy.on({ from: 'client', sql: /into notes values \(1/ }, 'drop');
    void client.query("insert into notes values (1, 'one')").catch(() => undefined);
    await dropped.matched;
    const other = await connectedThroughProxy();
    await other.query("insert into notes values (2, 'two')");
    expect(await count()).toBe(1);
  });

  it('black-holes a connection: the server does not learn that the client is gone', async () => {
    const client = await connectedThroughProxy();
    await client.query('begin');
    const silenced = proxy.on({ from: 'client', sql: /select 2/ }, 'blackhole');
    void client.query('select 2').catch(() => undefined);
    await silenced.matched;
    await endAbruptly(client);
    // Whatever the proxy had passed on would have been passed on before this connection's messages.
    await connected(proxy.url, { application_name: 'later' });
    expect(await sessions()).toEqual(['idle in transaction']);
    silenced.release();
    await eventually(async () => (await sessions()).length === 0);
  });

  it('holds an answer: the server has done it, and the client does not know', async () => {
    const client = await connectedThroughProxy();
    const held = proxy.on({ from: 'client', sql: /insert into notes/ }, 'hold-answer');
    let answered = false;
    const inserting = client.query(`insert into notes values (7, 'seven')`).then(() => (answered = true));
    await held.matched;
    await eventually(async () => (await direct.query('select from notes where id = 7')).rowCount === 1);
    expect(answered).toBe(false);
    held.release();
    await inserting;
  });

  it('delays a message and what is behind it', async () => {
    const client = await connectedThroughProxy();
    const delayed = proxy.on({ from: 'client', sql: /select 3/ }, { delayMs: 200 });
    const sent = performance.now();
    await client.query('select 3');
    expect(performance.now() - sent).toBeGreaterThanOrEqual(195);
    await delayed.matched;
  });

  it('applies a rule as often as it says and no more', async () => {
    const client = await connectedThroughProxy();
    const seen: (string | undefined)[] = [];
    proxy.on({ sql: /select/, where: ({ sql }) => seen.push(sql) > 0 }, 'observe', 2);
    for (const n of [1, 2, 3]) await client.query(`select ${n}`);
    expect(seen).toEqual(['select 1', 'select 2']);
  });
});

describe('the network as a whole', () => {
  it('lets nothing through while it is partitioned, and everything once it is healed', async () => {
    const client = await connectedThroughProxy();
    proxy.partition();
    const answer = client.query("insert into notes values (1, 'one')");
    const late = connectedThroughProxy();
    await eventually(() => proxy.counts().connections === 2);
    expect(await count()).toBe(0);
    await proxy.healAll();
    await answer;
    await (await late).query('select 1');
    expect(await count()).toBe(1);
  });

  it('refuses connections until it is healed, and keeps those that exist', async () => {
    const client = await connectedThroughProxy();
    await proxy.refuse();
    await expect(connectedThroughProxy()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await client.query('select 1');
    await proxy.healAll();
    await (await connectedThroughProxy()).query('select 1');
  });

  it('leads new clients to another server after a failover', async () => {
    const other = await startPostgresProxy({ target: database.url });
    proxy.retarget(other.url);
    await connectedThroughProxy();
    expect(other.counts().connections).toBe(1);
    await other.close();
  });

  it('declines encryption, which libpq asks for first', async () => {
    const { hostname, port } = new URL(proxy.url);
    const socket = connect(Number(port), hostname);
    socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
    const [answer] = await new Promise<[Buffer]>((resolve) => {
      socket.once('data', (data: Buffer) => resolve([data]));
    });
    expect(answer.toString()).toBe('N');
    socket.destroy();
  });
});

async function connected(connectionString: string, options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, ...options });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function connectedThroughProxy(options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = await connected(proxy.url, { application_name: 'proxied', ...options });
  return client;
}

async function endAbruptly(client: pg.Client): Promise<void> {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  stream.destroy();
  await eventually(() => stream.destroyed);
}

async function count(): Promise<number> {
  const { rows } = await direct.query<{ count: number }>('select count(*)::int as count from notes');
  return rows[0]?.count ?? -1;
}

async function sessions(): Promise<string[]> {
  const { rows } = await direct.query<{ state: string }>(
    "select state from pg_stat_activity where application_name = 'proxied' and datname = current_database()",
  );
  return rows.map(({ state }) => state);
}
