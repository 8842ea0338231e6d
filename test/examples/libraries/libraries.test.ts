/** Every library example, installed from its lockfile with the packed library, keeps the promise over HTTP. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { generatedRegion } from '../../docs/documents.ts';
import { behaviours } from './behaviours.ts';
import { isComplete, preparedExamples } from './prepared.ts';
import { Results } from './results.ts';
import type { Shop } from './shop.ts';
import { openShop } from './shop.ts';

const examples = preparedExamples();
const results = new Results(examples);

for (const { name, kind, folder, problem } of examples) {
  describe(name, () => {
    let shop: Shop | undefined;

    beforeAll(async () => {
      if (problem === undefined) shop = await openShop(folder);
    });

    afterAll(async () => {
      await shop?.close();
    });

    // What a test that fails leaves held must not fail the next one.
    afterEach(async () => {
      await shop?.proxy.healAll();
    });

    test('it installs from its lockfile, and builds', () => {
      expect(problem).toBeUndefined();
    });

    for (const { name: behaviour, claim, check } of behaviours.filter(({ kinds }) => kinds.includes(kind))) {
      test(`${behaviour}: ${claim}`, async () => {
        if (shop === undefined) throw new Error('There is no server to test.');
        try {
          await check(shop);
        } catch (error) {
          console.error(`The server of ${name} printed:\n${shop.output()}`);
          throw error;
        }
        results.add(name, behaviour);
      });
    }
  });
}

// Not a skipped test where some are left out: a run with skipped tests is not a good one.
if (isComplete) {
  test('docs/libraries.md has the table of this run', () => {
    results.save();
    expect(generatedRegion('docs/libraries.md', 'libraries', results.table())).toBe(results.table());
  });
}
