/** The pages of `docs/libraries` are made of their examples' files, and the examples are as their conventions say. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listExamples } from '../../scripts/examples/list.mjs';
import { behaviours } from '../examples/libraries/behaviours.ts';
import { codeBlocks, libraryPages, readDocument, root, tableAfter } from './documents.ts';

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface LockEntry {
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly [key: string]: unknown;
}

const examples = listExamples(root).map((example) => ({
  ...example,
  document: `docs/libraries/${example.page}.md` as const,
  manifest: readJson(join(example.folder, 'package.json')) as Manifest,
}));

test('every example has a page, and every page an example', () => {
  expect(examples.length).toBeGreaterThan(1);
  expect(examples.map(({ document }) => document).toSorted()).toEqual([...libraryPages].toSorted());
});

test('the table of docs/libraries.md has every example, with the versions of its lockfile', () => {
  const headings = ['library', 'version', ...behaviours.map(({ name }) => name)];
  const rows = tableAfter(readDocument('docs/libraries.md'), headings);
  const expected = examples.map(({ title, page, packages, folder }) => {
    const locked = lockOf(folder);
    const versions = packages.map((name) => `${name} ${locked[`node_modules/${name}`]?.version}`);
    return [`[${title}](libraries/${page}.md)`, versions.join(', ')];
  });
  expect(rows.map((cells) => cells.slice(0, 2))).toEqual(expected);
});

test.each(examples)('$document opens with code that is complete: a whole file', ({ document, folder }) => {
  const [opening] = readDocument(document).split('\n```');
  expect(opening).toMatch(/^# [^\n]+\n(?:\n(?:[^\n#]+\n)+)?$/);
  const { language, name, code } = codeBlocks(undefined, document)[0]!;
  expect(language).toBe('ts');
  expect(code).toBe(readFileSync(join(folder, name), 'utf8'));
});

test.each(examples)("$document has the code of its example's files", ({ document, folder, manifest }) => {
  for (const { language, name, code, line } of codeBlocks(undefined, document)) {
    const at = `${document}:${line}`;
    if (language === 'sh') {
      for (const command of code.trim().split('\n'))
        expect(isKnownCommand(command, manifest), `${at}: ${command}`).toBe(true);
      continue;
    }
    expect(name, `${at} names its file`).not.toBe('');
    const file = join(folder, name);
    expect(existsSync(file), `${at}: ${name} is a file of the example`).toBe(true);
    expect(isPartOf(readFileSync(file, 'utf8'), code), `${at} is in ${name}, line by line`).toBe(true);
  }
});

test.each(examples)("$name's lockfile is bound to no registry, and knows today's package", ({ folder }) => {
  const locked = lockOf(folder);
  const elsewhere = Object.values(locked).filter(({ resolved }) => /^\w+:\/\//.test(resolved ?? ''));
  expect(elsewhere).toEqual([]);
  const { integrity, resolved, ...library } = locked['node_modules/graphql-idempotency']!;
  expect(integrity).toBeUndefined();
  expect(resolved).toBe('file:graphql-idempotency.tgz');
  // npm installs what the lockfile says that the library depends on; the tarball is not asked.
  const manifest = readJson(join(root, 'package.json')) as LockEntry;
  for (const name of ['version', 'dependencies', 'peerDependencies', 'peerDependenciesMeta', 'engines'])
    expect(library[name], `${name}: node scripts/examples.mjs --lock all`).toEqual(manifest[name]);
});

test.each(examples)("$name's README leads to its page", ({ folder, page }) => {
  const text = readFileSync(join(folder, 'README.md'), 'utf8');
  expect(text).toContain(`](../../docs/libraries/${page}.md)`);
  expect(text).toContain('npm pack ../..');
});

function isKnownCommand(command: string, manifest: Manifest): boolean {
  if (Object.values(manifest.scripts).some((script) => script.split(' && ').includes(command))) return true;
  const [program, verb, ...names] = command.split(' ');
  const known = { ...manifest.dependencies, ...manifest.devDependencies };
  return program === 'npm' && verb === 'install' && names.every((name) => Object.hasOwn(known, name));
}

/** Whole lines, one after the other; how far they are indented together is the page's own affair. */
function isPartOf(text: string, code: string): boolean {
  const lines = code.trimEnd().split('\n');
  return [0, 2, 4, 6, 8].some((indent) => {
    const indented = lines.map((line) => (line === '' ? line : ' '.repeat(indent) + line));
    return `\n${text}`.includes(`\n${indented.join('\n')}\n`);
  });
}

function lockOf(folder: string): Readonly<Record<string, LockEntry>> {
  const lock = readJson(join(folder, 'package-lock.json')) as { packages: Record<string, LockEntry> };
  return lock.packages;
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
