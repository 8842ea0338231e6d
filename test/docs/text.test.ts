/** The documents hold together: links lead somewhere, commands exist, versions and licence agree. */

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { buildASTSchema, parse } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import { expect, test } from 'vitest';
import { environmentName, settings } from '../../src/config/settings.ts';
import type { SettingName } from '../../src/config/settings.ts';
import { anchorsOf, codeBlocks, documents, libraryPages, proseOf, readDocument, root } from './documents.ts';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly engines: { readonly node: string };
  readonly bin: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
};

const everyDocument = [...documents, ...libraryPages];

test.each(everyDocument)('the relative links of %s lead to files and headings that exist', (document) => {
  const links = [...proseOf(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
  for (const link of links.filter((target) => !target.startsWith('https:'))) {
    const [path = '', anchor] = link.split('#');
    const file = path === '' ? join(root, document) : join(root, dirname(document), path);
    expect(existsSync(file), `${document}: ${link}`).toBe(true);
    expect(relative(root, file).startsWith('..'), `${document}: ${link} leaves the repository`).toBe(false);
    if (anchor !== undefined) expect(anchorsOf(readFileSync(file, 'utf8'))).toContain(anchor);
  }
});

test('every code block is in a language that a test knows', () => {
  const languages = new Set(codeBlocks().map(({ language }) => language));
  expect([...languages].toSorted()).toEqual(['graphql', 'http', 'json', 'mermaid', 'sh', 'sql', 'ts', 'tsx']);
});

test('no fence is left open', () => {
  for (const document of everyDocument) {
    expect(proseOf(document), document).not.toContain('```');
  }
});

test.each(codeBlocks('sh').map((block) => ({ ...block, at: `${block.document}:${block.line}` })))(
  'the commands at $at exist',
  ({ code }) => {
    for (const line of code.trim().split('\n')) expect(line, line).toSatisfy(isKnownCommand);
  },
);

test.each(['README.md', 'schema/README.md'] as const)('%s runs every migration by hand', (document) => {
  const commands = codeBlocks('sh', document).flatMap(({ code }) => [...code.matchAll(/ -f (\S+)$/gm)]);
  const files = readdirSync(join(root, 'schema/postgres')).toSorted();
  expect(commands.map(([, file]) => file)).toEqual(files);
});

function isKnownCommand(line: string): boolean {
  const [program, ...words] = line.split(' ');
  switch (program) {
    case 'npm':
      if (words[0] === 'run') return words.length === 2 && Object.hasOwn(manifest.scripts, words[1]!);
      if (words[0] === 'install') return words.length === 2 && words[1] === manifest.name;
      return words.length === 1 && Object.hasOwn(manifest.scripts, words[0]!);
    case 'npx':
      // What it does is run by the test of the README's server.
      return words.join(' ') === 'graphql-idempotency migrate' && 'graphql-idempotency' in manifest.bin;
    case 'export':
      return /^(?:DATABASE|REDIS)_URL=\S+$/.test(words.join(' '));
    case 'psql':
      // The command in the file's own head, which the tests of migrations follow.
      return readFileSync(join(root, 'schema/postgres', words.at(-1)!), 'utf8').includes(`--   ${line}\n`);
    default:
      return false;
  }
}

test('the packages that the text says to install are those of the package', () => {
  const named = documents.flatMap((document) => [...proseOf(document).matchAll(/`npm install ([^`]+)`/g)]);
  expect(named.map(([, name]) => name)).toEqual(['@electric-sql/pglite']);
  expect(Object.keys(manifest.peerDependencies)).toContain('@electric-sql/pglite');
});

test('every variable IDEMPOTENCY_… that the text names is read', () => {
  const read = [
    ...(Object.keys(settings) as SettingName[]).map(environmentName),
    ...['DATABASE_URL', 'REDIS_URL', 'KEY_FORMAT', 'ENCRYPTION_KEYS'].map((name) => `IDEMPOTENCY_${name}`),
  ];
  const variables = documents
    .filter((document) => document !== 'docs/errors.md')
    .flatMap((document) => [
      ...proseOf(document)
        .replaceAll(/<!-- errors:begin[\s\S]*?errors:end -->/g, '')
        .matchAll(/\bIDEMPOTENCY_[A-Z_]+\b/g),
    ]);
  expect(variables.length).toBeGreaterThan(0);
  for (const [name] of variables) expect(read).toContain(name);
});

test('every setting that the text puts a value or a name to exists', () => {
  const words = documents.flatMap((document) => [
    ...proseOf(document).matchAll(
      /`([a-z]+(?:[A-Z][a-z]+)*(?:Timeout|Size|Bytes|Depth|Nodes|Interval|Prefix|Ttl))\b/g,
    ),
  ]);
  expect(words.length).toBeGreaterThan(10);
  // Of ioredis, of kafkajs, and of a relay.
  const others = ['commandTimeout', 'sessionTimeout', 'batchSize', 'maxBatchBytes'];
  for (const [, name] of words) expect([...Object.keys(settings), ...others]).toContain(name);
});

test.each(codeBlocks('graphql').filter(({ code }) => code.includes('type Mutation')))(
  'the schema at $document:$line is one that the guard accepts, and that clients see without its options',
  ({ code }) => {
    const idempotency = createIdempotency({
      scope: () => 'docs',
      postgres: 'postgres://localhost/docs',
      redis: false,
    });
    const whole = `${idempotency.typeDefs} type Query { ping: String } ${code}`;
    const schema = idempotency.applyTo(buildASTSchema(parse(whole)));
    expect(schema.getDirective('idempotent')?.args.map(({ name }) => name)).toEqual(['key']);
  },
);

test('the pictures are of kinds that Mermaid draws, and name the states that Postgres knows', () => {
  const pictures = codeBlocks('mermaid');
  expect(pictures.map(({ code }) => code.split('\n')[0])).toEqual([
    'sequenceDiagram',
    'sequenceDiagram',
    'stateDiagram-v2',
    'stateDiagram-v2',
  ]);
  const sql = readFileSync(join(root, 'schema/postgres/0001_record.sql'), 'utf8');
  const states = /record_state as enum \(([^)]+)\)/.exec(sql)![1]!.match(/\w+/g)!;
  const text = readDocument('schema/README.md');
  for (const state of states) expect(text).toContain(`\`${state}\``);
  for (const { code } of pictures.filter((picture) => picture.code.startsWith('sequenceDiagram'))) {
    const participants = [...code.matchAll(/participant (\w) as/g)].map(([, letter]) => letter!);
    const arrows = [...code.matchAll(/^ +(\w+)-?-(?:>>|\)|x)(\w+): \S.*$/gm)];
    expect(arrows.length).toBeGreaterThan(5);
    for (const [, from, to] of arrows) expect(participants).toEqual(expect.arrayContaining([from, to]));
  }
});

test('the versions and the licence are those of the package', () => {
  expect(readDocument('CHANGELOG.md')).toMatch(
    new RegExp(`^## \\[?${manifest.version.replaceAll('.', '\\.')}`, 'm'),
  );
  const oldest = manifest.engines.node.replace('>=', '');
  expect(proseOf('README.md')).toContain(`Node ${oldest} or newer`);
  expect(proseOf('CONTRIBUTING.md')).toContain(`Node ${oldest} or newer`);
  const licence = readFileSync(join(root, 'LICENSE'), 'utf8');
  expect(licence).toContain(`${manifest.license} License`);
  expect(licence).toContain('Copyright (c) 2026 The graphql-idempotency authors');
});

test.each(['README.md', 'SECURITY.md'] as const)(
  '%s speaks of authorization before anything else',
  (document) => {
    const [first] = [...readDocument(document).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading!);
    expect(first!.toLowerCase()).toContain('authorization');
  },
);
