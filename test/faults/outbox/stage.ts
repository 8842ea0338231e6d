/** Everything that a run runs on: Postgres, the broker, and the processes between them. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { migrate } from 'graphql-idempotency/migrate';
import pg from 'pg';
import { removeFolder, temporaryFolder } from '../../support/janitor.ts';
import { startPostgres } from '../../support/postgres-server.ts';
import { loadBroker } from './brokers/broker.ts';
import type { BrokerName, BrokerServer } from './brokers/broker.ts';
import { bundleProcesses } from './bundle.ts';
import { openCallBook } from './call-book.ts';
import type { CallBook } from './call-book.ts';
import { readPublications, readSeen } from './journal.ts';
import type { Publication, Seen } from './journal.ts';
import type { Role } from './plan-faults.ts';
import type { ProcessReport, ProcessSettings } from './settings.ts';
import { createTables } from './tables.ts';
import { startWorker } from './worker.ts';
import type { Worker } from './worker.ts';

export interface Stage {
  readonly database: pg.Pool;
  readonly broker: BrokerServer;
  readonly workers: Readonly<Record<Role, readonly Worker[]>>;
  readonly calls: CallBook;
  /** Resolves when all calls are made. */
  readonly allCalled: Promise<void>;
  seen(): Seen[];
  publications(): Publication[];
  close(): Promise<void>;
}

export interface StageOptions {
  readonly broker: BrokerName;
  readonly seed: number;
  readonly mutations: number;
}

const PROCESSES: Readonly<Record<Role, number>> = { relay: 2, ledger: 2, mutator: 1 };

export async function openStage({ broker: name, seed, mutations }: StageOptions): Promise<Stage> {
  const closings: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const closing of closings.toReversed()) await closing();
  };
  try {
    const folder = await temporaryFolder('outbox');
    closings.push(async () => removeFolder(folder));
    const journals = { seen: join(folder, 'seen'), publications: join(folder, 'publications') };
    for (const journal of Object.values(journals)) writeFileSync(journal, '');
    const files = await bundleProcesses(folder);
    const postgres = await startPostgres();
    closings.push(() => postgres.remove());
    await migrate({ connectionString: postgres.url });
    const database = new pg.Pool({ connectionString: postgres.url, max: 2 });
    database.on('error', () => {});
    closings.push(() => database.end());
    await createTables(database);
    const broker = await (await loadBroker(name)).start();
    closings.push(() => broker.remove());

    const calls = openCallBook(mutations);
    let allCalled!: () => void;
    const called = new Promise<void>((resolve) => {
      allCalled = resolve;
    });
    const onReport = (report: ProcessReport): void => {
      calls.note(report);
      if (calls.answered.size >= mutations) allCalled();
    };
    const settings = (): ProcessSettings => ({
      seed,
      databaseUrl: postgres.url,
      broker: name,
      brokerUrl: broker.url,
      journals,
      calls: calls.range(),
    });
    const start = (role: Role): Worker[] =>
      Array.from({ length: PROCESSES[role] }, () => {
        const worker = startWorker({
          file: files[role],
          settings,
          onReport,
          onComplaint: (complaint) => calls.note({ complaint }),
        });
        closings.push(() => worker.end());
        return worker;
      });
    const workers = { relay: start('relay'), ledger: start('ledger'), mutator: start('mutator') };
    await Promise.all(Object.values(workers).flatMap((all) => all.map(({ ready }) => ready)));
    return {
      database,
      broker,
      workers,
      calls,
      allCalled: called,
      seen: () => readSeen(journals.seen),
      publications: () => readPublications(journals.publications),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
