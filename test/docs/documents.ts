/** What the documents are made of: their code blocks, links, headings, tables and generated regions. */

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root: string = fileURLToPath(new URL('../..', import.meta.url));

/** The documents whose code is the library's own, by their paths from the root. */
export const documents = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'docs/brokers.md',
  'docs/client.md',
  'docs/configuration.md',
  'docs/errors.md',
  'docs/how-it-works.md',
  'docs/libraries.md',
  'docs/inbox.md',
  'docs/modes.md',
  'docs/outbox.md',
  'docs/testing.md',
  'docs/without-graphql.md',
  'schema/README.md',
] as const;

export type LibraryPage = `docs/libraries/${string}.md`;

/** The documents whose code needs other packages: it is that of the examples, and compiled and run there. */
export const libraryPages: readonly LibraryPage[] = readdirSync(`${root}docs/libraries`)
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/libraries/${name}` as LibraryPage);

export type DocumentPath = (typeof documents)[number] | LibraryPage;

export interface CodeBlock {
  readonly document: DocumentPath;
  /** Number of the line on which the code begins. */
  readonly line: number;
  readonly language: string;
  /** What follows the language: a file name. */
  readonly name: string;
  readonly code: string;
}

export function readDocument(document: DocumentPath): string {
  return readFileSync(root + document, 'utf8');
}

/** Returns the fenced code of the documents, by default of those whose code is the library's own. */
export function codeBlocks(language?: string, document?: DocumentPath): readonly CodeBlock[] {
  const all = (document === undefined ? documents : [document]).flatMap((path) => [...blocksOf(path)]);
  return all.filter((block) => language === undefined || block.language === language);
}

/** Without the indentation that a list gives a block. */
function* blocksOf(document: DocumentPath): Generator<CodeBlock> {
  const text = readDocument(document);
  const fence = /^( *)```(\w*) *([^\n]*)\n([\s\S]*?)^\1```$/gm;
  for (const { 1: indent = '', 2: language = '', 3: name = '', 4: body = '', index } of text.matchAll(
    fence,
  )) {
    const code = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
    yield { document, line: text.slice(0, index).split('\n').length + 1, language, name, code };
  }
}

/** Returns the text without its code blocks. */
export function proseOf(document: DocumentPath): string {
  return readDocument(document).replaceAll(/^( *)```[\s\S]*?^\1```$/gm, '');
}

/** Returns the anchors of a document's headings, as GitHub makes them. */
export function anchorsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

/** Returns the body cells of the table whose heading row is this one. */
export function tableAfter(text: string, headings: readonly string[]): readonly (readonly string[])[] {
  const head = `| ${headings.join(' | ')} |\n`;
  const start = text.indexOf(head);
  if (start === -1) throw new Error(`There is no table ${head}`);
  const [, ...rows] = text.slice(start + head.length).split('\n');
  const end = rows.findIndex((row) => !row.startsWith('|'));
  return rows.slice(0, end).map((row) =>
    row
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim()),
  );
}

/**
 * Returns what stands in a generated region of a document. With `UPDATE_DOCS=1` the region is first written
 * anew from what is expected there.
 */
export function generatedRegion(document: DocumentPath, name: string, expected: string): string {
  const region = new RegExp(`(?<=<!-- ${name}:begin -->\n)[\\s\\S]*?(?=<!-- ${name}:end -->)`);
  if (process.env['UPDATE_DOCS']) {
    writeFileSync(
      root + document,
      readDocument(document).replace(region, () => expected),
    );
  }
  const found = region.exec(readDocument(document));
  if (found === null) throw new Error(`${document} has no region ${name}`);
  return found[0];
}

/** Makes a table of Markdown. */
export function markdownTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`);
  return lines.join('');
}
