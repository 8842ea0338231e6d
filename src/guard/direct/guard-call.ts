/** What a call of `guard()` says of itself, and what it is answered. */

/** Who asks what, under which key, and how it is guarded. Read at once: what changes later changes nothing. */
export interface GuardCall {
  /**
   * What is done, such as `capturePayment`: 1 to 255 characters, the same in every call that does this. It is
   * part of what is asked, so one key under two names is KEY_REUSED; errors, logs, telemetry and the option
   * `recover` call it so. `Mutation.…` are the names of fields.
   *
   * @defaultValue `guard`
   */
  readonly name?: string | undefined;

  /** Whose key it is: the id of the user, tenant or session, or the name of the queue. Not an empty string. */
  readonly scope: string;

  /**
   * What makes retries of one intent the same: the client's key, the id of a message, the date of a run. 1 to 255
   * characters 0x21-0x7E, and whatever the option `keyFormat` demands. `undefined` is KEY_MISSING.
   */
  readonly key: string | undefined;

  /**
   * What is asked: a retry with another payload is KEY_REUSED. Plain data, `bigint`, `Date`, `URL` and binary data
   * of any depth; the order of keys does not count, and nor does a property that is `undefined`.
   *
   * @defaultValue none: the key alone says what is asked
   */
  readonly payload?: unknown;

  /**
   * Where the effect happens: in the attempt's transaction, or outside Postgres.
   *
   * @defaultValue `TRANSACTION`
   */
  readonly mode?: 'TRANSACTION' | 'LEASE' | undefined;

  /**
   * How long the answer replays: ISO 8601 text or milliseconds. More than `transactionTimeout`, and with
   * `mode: 'LEASE'` more than `lease`.
   *
   * @defaultValue the setting `ttl`
   */
  readonly ttl?: number | string | undefined;

  /**
   * What a call is told while another with its key is executing: IN_PROGRESS at once, or its answer, after a wait of
   * at most `waitTimeout`.
   *
   * @defaultValue `REJECT`
   */
  readonly inFlight?: 'REJECT' | 'WAIT' | undefined;

  /**
   * LEASE: what a retry may do after an attempt was abandoned.
   *
   * @defaultValue `REFUSE`
   */
  readonly abandoned?: 'REFUSE' | 'RERUN' | undefined;

  /**
   * Runs before a replay and refuses it by throwing: for permissions that may have been revoked since the first
   * answer. The option `authorizeReplay` is for fields, and is not asked.
   *
   * @defaultValue the scope suffices
   */
  readonly authorizeReplay?: (() => unknown) | undefined;

  /** Says that the client has gone away. That ends the waiting of `inFlight: 'WAIT'`, never the work. */
  readonly signal?: AbortSignal | undefined;
}

/** The answer of a guarded call: its own, or the first one's. */
export interface GuardAnswer<T> {
  readonly outcome: 'executed' | 'replayed';
  /** What `run` has returned. Replayed it is a copy, made anew for each call. */
  readonly value: T;
}
