/** What a run has shown: as JSON in a file, and as the table of docs/libraries.md. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { markdownTable, root } from '../../docs/documents.ts';
import { behaviours } from './behaviours.ts';
import type { PreparedExample } from './prepared.ts';

/** Collects which behaviours which example has shown. */
export class Results {
  readonly #examples: readonly PreparedExample[];
  readonly #shown = new Map<string, Set<string>>();

  constructor(examples: readonly PreparedExample[]) {
    this.#examples = examples;
    for (const { name } of examples) this.#shown.set(name, new Set());
  }

  add(example: string, behaviour: string): void {
    this.#shown.get(example)?.add(behaviour);
  }

  /** Writes `.data/examples.json`. */
  save(): void {
    const rows = this.#examples.map(({ name, title, kind, versions }) => ({
      name,
      title,
      versions,
      behaviours: Object.fromEntries(
        behaviours
          .filter(({ kinds }) => kinds.includes(kind))
          .map((behaviour) => [behaviour.name, this.#has(name, behaviour.name)]),
      ),
    }));
    mkdirSync(join(root, '.data'), { recursive: true });
    writeFileSync(join(root, '.data', 'examples.json'), `${JSON.stringify(rows, null, 2)}\n`);
  }

  table(): string {
    const headings = ['library', 'version', ...behaviours.map(({ name }) => name)];
    const rows = this.#examples.map(({ name, title, kind, versions }) => [
      `[${title}](libraries/${name.replace(/^\d\d-/, '')}.md)`,
      Object.entries(versions)
        .map(([library, version]) => `${library} ${version}`)
        .join(', '),
      ...behaviours.map((behaviour) => {
        if (!behaviour.kinds.includes(kind)) return '–';
        return this.#has(name, behaviour.name) ? 'yes' : 'no';
      }),
    ]);
    return markdownTable(headings, rows);
  }

  #has(example: string, behaviour: string): boolean {
    return this.#shown.get(example)?.has(behaviour) ?? false;
  }
}
