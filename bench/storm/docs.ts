/** The docs show the storm of the usual world: its chart, and its table. */

import { readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../../docs/', import.meta.url);
const TABLE = /(?<=<!-- storm:begin -->\n)[^]*?(?=<!-- storm:end -->)/;

/** Writes both where they differ, and says whether they did. */
export function writeDocs({ chart, table }: { readonly chart: string; readonly table: string }): boolean {
  const page = readFileSync(new URL('client.md', root), 'utf8');
  if (!TABLE.test(page)) throw new Error('docs/client.md has no place for the table of the storm.');
  const files = [
    ['storm.svg', chart],
    ['client.md', page.replace(TABLE, () => `${table}\n`)],
  ] as const;
  let changed = false;
  for (const [name, text] of files) {
    const file = new URL(name, root);
    if (readFileSync(file, 'utf8') === text) continue;
    writeFileSync(file, text);
    changed = true;
  }
  return changed;
}
