/** Where an intent stands, as far as its component can tell. */

import type { ErrorLike } from '@apollo/client';

export type MutationStatus =
  /** Nothing was asked yet, or `reset()` was called. */
  | { readonly state: 'idle' }
  /** An attempt is under way; the first is 1. */
  | { readonly state: 'sending'; readonly attempt: number }
  /** Waiting for the next attempt. */
  | {
      readonly state: 'retrying';
      /** The number of the attempt to come. */
      readonly attempt: number;
      /** When it begins, in milliseconds since 1970; later where the browser is offline. */
      readonly nextTryAt: number;
      /** How long the whole wait is, in milliseconds. */
      readonly delayMs: number;
    }
  /** It may have been executed, or not. The next call sends the same key again, and is executed at most once. */
  | { readonly state: 'unknown'; readonly key: string; readonly error: ErrorLike }
  /** The server answered without errors. */
  | {
      readonly state: 'done';
      /** Whether the server had executed it before, in an earlier attempt or call. */
      readonly replayed: boolean;
    }
  /**
   * An error that settles it: nothing is sent again, and the next call is a new intent. The error says what
   * happened; where a field below the mutation's own failed, the mutation was executed all the same.
   */
  | { readonly state: 'failed'; readonly error: ErrorLike };
