/** What the client needs: nothing for the engine, and for each adapter its own peer. */

import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../docs/documents.ts';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, { readonly default: string } | string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
};

/** The packages that a module loads, and those that it loads load. */
function packagesOf(file: string, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>();
  if (seen.has(file)) return packages;
  seen.add(file);
  const imports = readFileSync(file, 'utf8').matchAll(
    /^(?:import|export)\b(?! type\b)[^;]*? from '([^']+)'/gm,
  );
  for (const [, specifier] of imports) {
    if (!specifier!.startsWith('.')) {
      packages.add(/^(?:@[^/]+\/)?[^/]+/.exec(specifier!)![0]);
      continue;
    }
    const path = join(dirname(file), specifier!);
    expect(relative(join(root, 'src/client'), path), file).not.toMatch(/^\.\./);
    for (const name of packagesOf(path, seen)) packages.add(name);
  }
  return packages;
}

test.each([
  { entry: './client', packages: [] },
  { entry: './client/apollo', packages: ['@apollo/client', 'graphql'] },
  { entry: './client/react', packages: ['@apollo/client', 'react'] },
  { entry: './client/urql', packages: ['@urql/core'] },
])('$entry loads $packages, and nothing else', ({ entry, packages }) => {
  const target = manifest.exports[entry] as { readonly default: string };
  const source = target.default.replace('./dist', 'src').replace(/\.js$/, '.ts');
  expect([...packagesOf(join(root, source))].toSorted((a, b) => a.localeCompare(b))).toEqual(packages);
  for (const name of packages) {
    expect(manifest.peerDependencies).toHaveProperty([name]);
    expect(manifest.dependencies).not.toHaveProperty([name]);
  }
});

test('a server needs none of the packages of the client, and a client none of the server', () => {
  const optional = Object.entries(manifest.peerDependenciesMeta).filter(([, { optional }]) => optional);
  expect(optional.map(([name]) => name)).toEqual(
    expect.arrayContaining(['@apollo/client', '@apollo/server', '@urql/core', 'react']),
  );
});

test('no source of the client names a module of Node, or a global that browsers lack', () => {
  for (const file of readdirSync(join(root, 'src/client'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const code = readFileSync(join(root, 'src/client', file), 'utf8').replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '');
    expect(code, file).not.toMatch(/'node:|\bprocess\.|\bBuffer\b|\bsetImmediate\b|\brequire\(|\bglobal\./);
  }
});
