/** Makes COMMITs of payments take as long as a test wants: a deferred trigger waits until it lets them go. */

import pg from 'pg';
import { eventually } from '../../support/signal.ts';

/** The brake on the COMMITs of one database. */
export interface SlowCommits {
  /** From now on COMMITs wait. */
  hold(): Promise<void>;
  /** Waits until a COMMIT waits. */
  reached(): Promise<void>;
  /** Lets all of them go, those to come too. */
  release(): Promise<void>;
  close(): Promise<void>;
}

/** Puts the brake on the table `payments`, which must be there. */
export async function slowCommits(databaseUrl: string): Promise<SlowCommits> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  // It polls, because waiting for the lock would be bounded by the transaction's own lock_timeout.
  await client.query(`
    create function wait_at_commit() returns trigger language plpgsql as $$
    begin
      while not pg_try_advisory_xact_lock_shared(1, 1) loop
        perform pg_sleep(0.01);
      end loop;
      return null;
    end $$;
    create constraint trigger wait_at_commit after insert on payments
      deferrable initially deferred for each row execute function wait_at_commit()`);
  return {
    hold: async () => void (await client.query('select pg_advisory_lock(1, 1)')),
    reached: async () => {
      await eventually(async () => {
        const { rowCount } = await client.query(
          `select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`,
        );
        return rowCount! > 0;
      });
    },
    release: async () => void (await client.query('select pg_advisory_unlock_all()')),
    close: () => client.end(),
  };
}
