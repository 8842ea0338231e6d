/** Which commands end a transaction, however they are dressed up: compared with what a real Postgres does. */

import fc from 'fast-check';
import type { Client } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { transactionCommandIn } from '../../../src/store/postgres/sql-commands.ts';
import { createDatabase } from '../../support/database.ts';
import { connect } from './connection.ts';

let url: string;
beforeAll(async () => {
  ({ url } = await createDatabase());
});

/** Whether Postgres ended or began a transaction at this text; `undefined` where it refuses the text as a whole. */
async function endsTransaction(client: Client, text: string): Promise<boolean | undefined> {
  await client.query('begin');
  await client.query(`select set_config('test.marker', 'here', true)`);
  try {
    await client.query(text);
    const { rows } = await client.query(`select current_setting('test.marker', true) as marker`);
    return rows[0].marker !== 'here';
  } catch (error) {
    // A syntax error is found before anything runs: nothing can be said of the text.
    if ((error as { code?: string }).code === '42601') return undefined;
    throw error;
  } finally {
    await client.query('rollback');
  }
}

const commands = {
  BEGIN: ['begin', 'BEGIN WORK', 'begin transaction isolation level serializable', 'Begin;'],
  START: ['start transaction', 'START  TRANSACTION READ ONLY'],
  COMMIT: ['commit', 'COMMIT WORK', 'commit and chain', 'cOmMiT', "commit prepared 'x'"],
  END: ['end', 'END TRANSACTION'],
  ABORT: ['abort', 'abort and no chain'],
  ROLLBACK: [
    'rollback',
    'ROLLBACK WORK',
    'rollback transaction and chain',
    "rollback prepared 'x'",
    'rollback and no chain',
  ],
  'PREPARE TRANSACTION': ["prepare transaction 'x'", "PREPARE\nTRANSACTION 'x'"],
};

describe.each(Object.entries(commands))('%s is found', (command, forms) => {
  test.each(forms)('as %j', (form) => {
    for (const disguise of disguises)
      expect(transactionCommandIn(disguise(form)), disguise(form)).toBe(command);
  });
});

/** Ways to write a command that Postgres executes all the same. */
const disguises: readonly ((command: string) => string)[] = [
  (command) => command,
  (command) => `  \t\r\n\f\v ${command}`,
  (command) => `;;;${command}`,
  (command) => `-- a comment\n${command}`,
  (command) => `-- a comment\r${command}`,
  (command) => `/* a /* nested */ comment */${command}`,
  (command) => `/**/${command}/**/`,
  (command) => `/*/**/*/${command}`,
  (command) => `/* ' */${command}`,
  (command) => `/* $$ */${command}`,
  (command) => `--'\n${command}`,
  (command) => `select 1;${command}`,
  (command) => `select 1;\n\n-- ;\n${command};select 2`,
  (command) => `select 'it''s';${command}`,
  (command) => `select '\\';${command}`,
  (command) => `select E'\\'';${command}`,
  (command) => `select e'\\\\';${command}`,
  (command) => `select E'a'\n'\\'';${command}; --'`,
  (command) => `select E'a' -- more\n\n '\\'';${command}; --'`,
  (command) => `select U&'\\0061';${command}`,
  (command) => `select B'1', X'f', N'n';${command}`,
  (command) => `select "a""b" from (select 1 as "a""b") t;${command}`,
  (command) => `select 1 as "e'";${command}`,
  (command) => `select $$ ' $$;${command}`,
  (command) => `select $a$ $$ $a$;${command}`,
  (command) => `select $a$ $b$a$;${command}`,
  (command) => `select $ä_1$ $ä$ $ä_1$;${command}`,
  (command) => `select 1 as a$$b;${command}; select 1 as a$$b`,
  (command) => `select 1 as ä$$b;${command}; select 1 as ä$$b`,
  (command) => `select 1 as x_e, 'a\\';${command}`,
  (command) => `select 5 /*'*/ - 3 --'\n;${command}`,
  (command) => `savepoint a; rollback to a;${command}`,
];

test('each disguise is one that Postgres sees through too', async () => {
  const client = await connect(url);
  for (const disguise of disguises)
    expect(await endsTransaction(client, disguise('commit')), disguise('commit')).toBe(true);
});

const harmless = [
  '',
  ';',
  'select 1',
  'savepoint a',
  'savepoint a; rollback to a',
  'savepoint a; rollback to savepoint a',
  'savepoint a; ROLLBACK WORK TO SAVEPOINT a',
  'savepoint a; rollback transaction to a; release a',
  'savepoint a; rollback /* not all */ to -- but to\n a',
  "prepare p as select 'commit'",
  "select 'commit', 'a;commit', ';rollback;'",
  "select E'\\';commit; --'",
  "select E'a'\n'\\';commit; --'",
  'select $$;commit;$$, $a$;commit $$;rollback$$;$a$',
  'select 1 as "commit", 2 as ";commit;"',
  'select 1 as commit, 2 as "begin"',
  'select case when true then 1 else 2 end',
  '/* ;commit; */ select 1 -- ;commit',
  '/* /* */ ;commit; */ select 1',
  'select 1 as begin_, 2 as commit_log, 3 as ending',
  'do $$ begin perform 1; end $$',
  'do $$ begin begin perform 1; exception when others then null; end; end $$',
  'create function pg_temp.f() returns int language plpgsql as $f$ begin return 1; end; $f$',
  'set transaction isolation level read committed',
  'set constraints all deferred',
  'lock table pg_description in access share mode',
  'explain select 1',
  "comment on schema public is 'commit; rollback'",
];

test.each(harmless)('%j is nobody’s end, and no false alarm', async (text) => {
  expect(transactionCommandIn(text)).toBeUndefined();
  expect(await endsTransaction(await connect(url), text)).toBe(false);
});

test('a text that never ends is read to its end, in time that grows with its length', () => {
  for (const opening of [
    "'",
    '"',
    "E'",
    '/*',
    '$$',
    '$tag$',
    '--',
    "E'a'\n",
    '(',
    '/*/*'.repeat(20_000),
    "'' ".repeat(50_000),
  ]) {
    const started = performance.now();
    expect(transactionCommandIn(`${opening}${'x;commit '.repeat(10_000)}`) ?? 'COMMIT').toBe('COMMIT');
    expect(performance.now() - started).toBeLessThan(5000);
  }
});

test('a literal of many megabytes is no obstacle', () => {
  const body = 'x'.repeat(40_000_000);
  for (const literal of [`'${body}'`, `E'${body}'`, `$$${body}$$`, `"${body}"`, `/*${body}*/1`]) {
    expect(transactionCommandIn(`select ${literal}`)).toBeUndefined();
    expect(transactionCommandIn(`select ${literal}; commit`)).toBe('COMMIT');
  }
});

describe('any text', () => {
  const word = fc.constantFrom(
    'commit',
    'a',
    "'",
    "''",
    '\\',
    '$',
    '$$',
    '$t$',
    '/*',
    '*/',
    '--',
    '\n',
    ';',
    ' ',
    'E',
    '"',
    '1',
    'ä',
  );
  const content = fc.array(word, { maxLength: 8 }).map((words) => words.join(''));
  const quoted = fc.oneof(
    content.map((text) => `'${text.replaceAll("'", "''")}'`),
    content.map((text) => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`),
    content.map((text) => `E'' \n '${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`),
    content
      .filter((text) => !text.includes('$q$') && !text.endsWith('$q') && !text.endsWith('$'))
      .map((text) => `$q$${text}$q$`),
    content.map((text) => `1 as "x${text.replaceAll('"', '""')}"`),
    fc.integer({ min: 0, max: 99 }).map(String),
  );
  const comment = fc.oneof(
    content.map((text) => `--${text.replaceAll('\n', '')}\n`),
    content
      .filter(
        (text) =>
          !/\/\*|\*\//.test(text) && !text.startsWith('/') && !text.endsWith('/') && !text.endsWith('*'),
      )
      .map((text) => `/*${text}*/`),
    fc.constantFrom(' ', '\n', '\t'),
  );
  const select = fc
    .tuple(comment, quoted, comment)
    .map(([before, value, after]) => `${before}select ${value} ${after};`);
  const end = fc.tuple(comment, fc.constantFrom('commit', 'ROLLBACK', 'end', 'Abort'), comment);

  test('hides no bare COMMIT, and what is quoted or commented is not one: as Postgres has it', async () => {
    const client = await connect(url);
    await fc.assert(
      fc.asyncProperty(
        fc.array(select, { maxLength: 3 }),
        fc.option(end),
        fc.array(select, { maxLength: 2 }),
        async (first, ending, last) => {
          const bare = ending === null ? '' : `${ending.join('')};`;
          const text = [...first, bare, ...last].join('');
          const expected = ending === null ? undefined : ending[1].toUpperCase();
          expect(transactionCommandIn(text)).toBe(expected);
          expect(await endsTransaction(client, text)).toBe(ending !== null);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('that Postgres executes and that ends the transaction is found, whatever it is made of', async () => {
    const client = await connect(url);
    const soup = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: word },
        quoted,
        comment,
        fc.constantFrom('select ', ';commit;', ';rollback to a;'),
      ),
      {
        maxLength: 12,
      },
    );
    await fc.assert(
      fc.asyncProperty(soup, async (parts) => {
        const text = parts.join('');
        const ended = await endsTransaction(client, text).catch(() => false);
        if (ended === true) expect(transactionCommandIn(text)).toBeDefined();
      }),
      { numRuns: 500 },
    );
  });
});
