/** What every attempt needs to know of the configuration. */

import type { Logger } from '../config/logger.ts';

export interface AttemptSettings {
  readonly storeError: ((error: unknown, field: { readonly coordinate: string }) => boolean) | undefined;
  readonly releaseError: ((error: unknown, field: { readonly coordinate: string }) => boolean) | undefined;
  readonly maxResultBytes: number;
  readonly maxEventBytes: number;
  readonly tombstoneTtlMs: number;
  readonly logger: Logger;
  /** Coordinates that were told already that they wrote nothing through their transaction. */
  readonly silentFields: Set<string>;
}
