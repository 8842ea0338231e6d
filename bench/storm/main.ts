/**
 * What an outage makes of clients that retry, simulated: `npm run storm -- [--seed N] [--clients N] [--rate N]`.
 * Exits with 1 when a bound is missed, or when the docs show another storm of the usual world: they are written anew.
 */

import { simulateAll } from './all-rows.ts';
import { checkBounds } from './bounds.ts';
import { drawChart } from './chart.ts';
import { writeDocs } from './docs.ts';
import { isDefault, readWorld } from './read-world.ts';
import { formatAssumptions, formatBounds, formatTable } from './table.ts';

const world = readWorld(process.argv.slice(2));
console.log(`${formatAssumptions(world)}\n`);
const rows = await simulateAll(world, (name, seconds) => {
  console.error(`${name}: simulated in ${seconds.toFixed(0)} s`);
});
console.log(`\n${formatTable(rows)}\n`);

const bounds = checkBounds(rows, world);
console.log(formatBounds(bounds));
if (bounds.some(({ holds }) => !holds)) process.exitCode = 1;

if (isDefault(world) && writeDocs({ chart: drawChart(rows, world), table: formatTable(rows) })) {
  console.log('\nThe docs showed another storm: docs/storm.svg and docs/client.md are written anew.');
  process.exitCode = 1;
}
