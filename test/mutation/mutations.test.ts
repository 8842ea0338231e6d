/** The list of ways to break the library fits the library as it is; `node scripts/mutation.mjs` then breaks it. */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { applyEdit, mutations } from '../../scripts/mutations.mjs';

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

describe.each(mutations)('$name', ({ edits, test: file, red, green }) => {
  test('changes every place that it names, and each exactly once', () => {
    const texts = new Map<string, string>();
    for (const edit of edits) {
      const before = texts.get(edit.file) ?? read(edit.file);
      const after = applyEdit(edit, before);
      expect(after).not.toBe(before);
      texts.set(edit.file, after);
    }
    expect(texts.size).toBeGreaterThan(0);
  });

  test('names a test that there is', () => {
    expect(read(file)).toContain(red ?? green);
  });
});

test('a place that is gone, or is there twice, is an error and not a mutation that survives', () => {
  const edit = { file: 'a.ts', find: 'x', replace: '' };
  expect(applyEdit(edit, 'a x b')).toBe('a  b');
  expect(() => applyEdit(edit, 'a b')).toThrow(/a\.ts: x occurs 0 times instead of once/);
  expect(() => applyEdit(edit, 'x x')).toThrow(/occurs 2 times/);
});
