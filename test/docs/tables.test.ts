/** The tables of the documents are those of the code. `UPDATE_DOCS=1` writes the generated ones anew. */

import { readFileSync, readdirSync } from 'node:fs';
import { errorTable } from 'graphql-idempotency';
import pg from 'pg';
import { expect, test } from 'vitest';
import { optionNames } from '../../src/config/options.ts';
import { environmentName, settings } from '../../src/config/settings.ts';
import type { Setting, SettingName } from '../../src/config/settings.ts';
import { authorDirective } from '../../src/directive/author-directive.ts';
import { createDatabase } from '../support/database.ts';
import { generatedRegion, markdownTable, readDocument, root, tableAfter } from './documents.ts';

test.each(['README.md', 'docs/errors.md'] as const)('%s has the table of errors', (document) => {
  const rows = Object.entries(errorTable).map(([code, { status, retryable, when }]) => [
    `\`${code}\``,
    String(status),
    retryable ? 'yes' : 'no',
    when,
  ]);
  const expected = markdownTable(['code', 'status', 'retry', 'when'], rows);
  expect(generatedRegion(document, 'errors', expected)).toBe(expected);
});

test('docs/errors.md has a section for every code, and for no other', () => {
  const sections = [...readDocument('docs/errors.md').matchAll(/^### (\w+)$/gm)].map(([, code]) => code!);
  expect(sections.toSorted()).toEqual(Object.keys(errorTable).toSorted());
});

test('docs/errors.md groups the codes by whether a retry can help', () => {
  const [, retried] = readDocument('docs/errors.md')
    .split(/^## /m)
    .filter((part) => part.includes('\n### '));
  const codes = [...retried!.matchAll(/^### (\w+)$/gm)].map(([, code]) => code!);
  const retryable = Object.entries(errorTable).filter(([, entry]) => entry.retryable);
  expect(codes.toSorted()).toEqual(retryable.map(([code]) => code).toSorted());
});

test('docs/configuration.md has the table of settings', () => {
  const rows = Object.entries(settings).map(([name, setting]: [string, Setting]) => [
    `\`${name}\``,
    `\`${environmentName(name as SettingName)}\``,
    kindOf(setting),
    defaultOf(setting),
    setting.about,
  ]);
  const expected = markdownTable(['setting', 'environment', 'kind', 'default', 'meaning'], rows);
  expect(generatedRegion('docs/configuration.md', 'settings', expected)).toBe(expected);
});

test('docs/configuration.md has every option that is not a plain setting', () => {
  const rows = tableAfter(readDocument('docs/configuration.md'), ['option', 'meaning']);
  expect(rows.map(([name]) => plain(name!)).toSorted()).toEqual([...optionNames].toSorted());
});

test('the settings that README.md names have its variables and defaults', () => {
  const rows = tableAfter(readDocument('README.md'), ['option', 'environment', 'default', 'meaning']);
  const known = rows.filter(([name]) => plain(name!) in settings);
  expect(known.map(([name]) => plain(name!))).toEqual(['ttl', 'migrate']);
  for (const [name, variable, value] of known) {
    expect(plain(variable!)).toBe(environmentName(plain(name!) as SettingName));
    expect(value).toBe(defaultOf(settings[plain(name!) as SettingName]));
  }
  const others = rows.filter(([name]) => !(plain(name!) in settings));
  for (const [name] of others) expect(optionNames).toContain(plain(name!));
});

test('README.md has every option of the directive, with its default', () => {
  const rows = tableAfter(readDocument('README.md'), ['option', 'default', 'meaning']);
  expect(rows.map(([name]) => plain(name!)).toSorted()).toEqual(
    authorDirective.args.map((arg) => arg.name).toSorted(),
  );
  for (const [name, value] of rows) {
    const { defaultValue } = authorDirective.args.find((arg) => arg.name === plain(name!))!;
    if (defaultValue === undefined) expect(value).toMatch(/^(?:none|the setting `ttl`)$/);
    else
      expect(plain(value!)).toBe(
        typeof defaultValue === 'string' ? defaultValue : JSON.stringify(defaultValue),
      );
  }
});

test('schema/README.md has the columns of every table, with their types', async () => {
  const database = await createDatabase({ migrated: true });
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query<{ table: string; columns: [string, string][] }>(
    `select c.relname as table, json_agg(json_build_array(a.attname,
       regexp_replace(format_type(a.atttypid, a.atttypmod), '^.*\\.', '')) order by a.attnum) as columns
     from pg_attribute as a join pg_class as c on c.oid = a.attrelid
     where c.relnamespace = 'graphql_idempotency'::regnamespace and c.relkind = 'r'
       and a.attnum > 0 and not a.attisdropped group by c.relname`,
  );
  await client.end();
  const text = readDocument('schema/README.md');
  expect(rows.map(({ table }) => table).toSorted()).toEqual(
    [...text.matchAll(/^\*\*`(\w+)`\*\*: /gm)].map(([, table]) => table!).toSorted(),
  );
  for (const { table, columns } of rows) {
    const section = text.slice(text.indexOf(`**\`${table}\`**: `));
    const documented = tableAfter(section, ['column', 'type', 'meaning']);
    expect(documented.map(([name, type]) => [plain(name!), plain(type!)])).toEqual(columns);
  }
});

test.each([
  { column: 'room', folder: 'src' },
  { column: 'room of the client', folder: 'src/client' },
])('CONTRIBUTING.md has the import law that lint enforces in $folder', ({ column, folder }) => {
  const config = JSON.parse(readFileSync(`${root}.oxlintrc.json`, 'utf8')) as LintConfig;
  const rows = tableAfter(readDocument('CONTRIBUTING.md'), [column, 'what it knows', 'imports from']);
  const rooms = rows.map(([room]) => plain(room!).replace('/', ''));
  const folders = readdirSync(root + folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(rooms.toSorted()).toEqual(folders.map(({ name }) => name).toSorted());
  const actual = rows.map(([room, , allowed]) => [
    plain(room!).replace('/', ''),
    allowed === '–' ? [] : plain(allowed!).split(', ').toSorted(),
  ]);
  const expected = rooms.map((room) => {
    const forbidden = room === 'client' ? rooms : forbiddenIn(config, `${folder}/${room}`);
    return [room, rooms.filter((other) => other !== room && !forbidden.includes(other)).toSorted()];
  });
  expect(actual).toEqual(expected);
  // From the top: nobody imports from a room above.
  for (const [index, [, allowed]] of actual.entries()) {
    expect(rooms.slice(0, index).filter((above) => allowed!.includes(above))).toEqual([]);
  }
});

test('lint keeps every room of the client from the server, and from Node', () => {
  const config = JSON.parse(readFileSync(`${root}.oxlintrc.json`, 'utf8')) as LintConfig;
  const own = config.overrides.filter(({ files }) => files[0]!.startsWith('src/client/'));
  const rooms = readdirSync(`${root}src/client`, { withFileTypes: true }).map((entry) =>
    entry.isDirectory() ? `src/client/${entry.name}/**/*.ts` : 'src/client/*.ts',
  );
  expect(new Set(own.map(({ files }) => files[0]))).toEqual(new Set(rooms));
  for (const { files, rules } of own) {
    const rule = rules['no-restricted-imports'] as ['error', { patterns: { group: string[] }[] }];
    const groups = rule[1].patterns.flatMap(({ group }) => group);
    expect(groups).toContain('node:*');
    expect(groups).toContain(files[0] === 'src/client/*.ts' ? '../**' : '../../**');
  }
});

interface LintConfig {
  readonly overrides: readonly {
    readonly files: readonly string[];
    readonly rules: Readonly<
      Record<string, ['error', { patterns: { group: string[] }[] }] | string | undefined>
    >;
  }[];
}

function forbiddenIn(config: LintConfig, path: string): readonly string[] {
  const override = config.overrides.find(({ files }) => files.includes(`${path}/**/*.ts`));
  const rule = override?.rules['no-restricted-imports'];
  if (!Array.isArray(rule)) return [];
  return rule[1].patterns.flatMap(({ group }) => group).map((pattern) => pattern.split('/')[1]!);
}

function plain(cell: string): string {
  return cell.replaceAll('`', '');
}

function kindOf({ kind, min }: Setting): string {
  if (min === undefined || min === 0) return kind;
  return `${kind}, at least ${kind === 'duration' ? milliseconds(min) : min}`;
}

function defaultOf(setting: Setting): string {
  const { kind, default: value } = setting;
  if (kind === 'duration') return milliseconds(value as number);
  if (kind === 'text') return value === '' ? 'empty' : `\`${value}\``;
  return String(value);
}

function milliseconds(value: number): string {
  if (value === 0) return '0';
  const unit = [
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ].find(([size]) => value % (size as number) === 0);
  return unit === undefined ? `${value} ms` : `${value / (unit[0] as number)} ${unit[1]}`;
}
