/** Turns the TypeScript of the documents into modules that can be compiled and imported. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeBlocks, root } from './documents.ts';
import type { CodeBlock } from './documents.ts';

export interface DocumentModules {
  readonly folder: string;
  /** Imports the module of a block by its file name; all that it declares is exported. */
  load<T>(name: string): Promise<T>;
  remove(): void;
}

/** Writes every block as a module to a folder inside the repository, where the packages are found. */
export function writeModules(): DocumentModules {
  mkdirSync(join(root, '.data'), { recursive: true });
  const folder = mkdtempSync(join(root, '.data', 'docs-'));
  const blocks = [...codeBlocks('ts'), ...codeBlocks('tsx')];
  for (const block of blocks) writeFileSync(join(folder, block.name), moduleOf(block));
  return {
    folder,
    load: <T>(name: string) => import(/* @vite-ignore */ join(folder, name)) as Promise<T>,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const preludeFile = new URL('./prelude.ts', import.meta.url);

function moduleOf(block: CodeBlock): string {
  const { document, line, code } = block;
  const declared = [...code.matchAll(/^(?:export )?(?:const|async function|function|class) (\w+)/gm)].map(
    ([, name]) => name!,
  );
  const destructured = [...code.matchAll(/^const \{ ([\w, ]+) \} =/gm)].flatMap(([, names]) =>
    names!.split(', '),
  );
  const types = [...code.matchAll(/^(?:interface|type) (\w+)/gm)].map(([, name]) => name!);
  const imported = [...code.matchAll(/^import (?:type )?\{ ([\w, ]+) \}/gm)].flatMap(([, names]) =>
    names!.split(', '),
  );
  const own = new Set([...declared, ...destructured, ...types, ...imported]);
  const used = preludeNames().filter(
    ({ name }) => !own.has(name) && new RegExp(`\\b${name}\\b`).test(withoutText(code)),
  );
  const names = used.map(({ name, isType }) => (isType ? `type ${name}` : name)).join(', ');
  return [
    `// ${document}:${line}`,
    `import { ${names} } from '../../test/docs/prelude.ts';`,
    code,
    `export { ${[...declared, ...destructured].join(', ')} };`,
    '',
  ].join('\n');
}

/** A name in a string or a comment is no use of it. */
function withoutText(code: string): string {
  return code.replaceAll(/'[^'\n]*'|\/\/.*/g, '');
}

function preludeNames(): readonly { readonly name: string; readonly isType: boolean }[] {
  const text = readFileSync(preludeFile, 'utf8');
  const declared = [...text.matchAll(/^export (?:async )?(const|function|interface) (\w+)/gm)];
  const passedOn = [...text.matchAll(/^export (type )?\{ ([\w, ]+) \};/gm)];
  return [
    ...declared.map(([, kind, name]) => ({ name: name!, isType: kind === 'interface' })),
    ...passedOn.flatMap(([, type, names]) =>
      names!.split(', ').map((name) => ({ name, isType: type !== undefined })),
    ),
  ];
}
