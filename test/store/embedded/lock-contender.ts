/** A process that wants a folder: says what came of it, holds what it got, and lets go when told. */

import { lockFolder } from '../../../src/store/embedded/folder-lock.ts';
import type { FolderLock } from '../../../src/store/embedded/folder-lock.ts';

export type Outcome = { readonly held: true } | { readonly held: false; readonly message: string };

const [, , folder] = process.argv;
let lock: FolderLock | undefined;

process.on('message', (order) => {
  if (order === 'release') void lock?.release().then(() => process.send?.('released'));
  if (order === 'lock') void contend();
});
process.send?.('ready');

async function contend(): Promise<void> {
  let outcome: Outcome;
  try {
    lock = await lockFolder(folder!);
    outcome = { held: true };
  } catch (error) {
    outcome = { held: false, message: `${(error as Error).name}: ${(error as Error).message}` };
  }
  process.send?.(outcome);
}
