/** A process that simulates one row, and sends it to the process that began it: `row-process.ts NAME WORLD` */

import { simulate } from './simulate.ts';
import { STRATEGIES } from './strategies.ts';
import type { World } from './world.ts';

const [name, world] = process.argv.slice(2) as [string, string];
const strategy = STRATEGIES.find((one) => one.name === name)!;
// Without its parent nobody wants the row.
process.once('disconnect', () => process.exit());
const row = await simulate(JSON.parse(world) as World, strategy);
process.send!(row, () => process.exit());
