/** Turns the outcomes of an operation's fields into what the HTTP response says. */

import type { GraphQLResponse } from '@apollo/server';
import type { GraphQLError } from 'graphql';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import type { RequestFacts } from '../graphql/request-facts.ts';
import type { Batch } from './batches.ts';

const REPLAYED_HEADER = 'idempotent-replayed';

/** Marks replays, and gives a wholly refused operation its status. Runs once for each operation. */
export function shapeResponse(
  response: GraphQLResponse,
  facts: RequestFacts,
  errors: readonly GraphQLError[],
  batch: Batch,
): void {
  if (response.body.kind !== 'single') return;
  const { singleResult } = response.body;
  const outcomes = [...facts.outcomes];
  const answered = outcomes.filter(([, outcome]) => outcome === 'executed' || outcome === 'replayed');
  batch.guardedFields += outcomes.filter(([, outcome]) => outcome !== 'unguarded').length;
  batch.replayedFields += answered.filter(([, outcome]) => outcome === 'replayed').length;

  const { headers } = response.http;
  if (batch.guardedFields > 0 && batch.replayedFields === batch.guardedFields)
    headers.set(REPLAYED_HEADER, 'true');
  else headers.delete(REPLAYED_HEADER);

  if (answered.length > 0) {
    const idempotency = Object.fromEntries(answered.map(([name, outcome]) => [name, { outcome }]));
    singleResult.extensions = { ...singleResult.extensions, idempotency };
  }

  const refusals = errors.map(refusalIn).filter((refusal) => refusal !== undefined);
  if (refusals.length === 0) return;
  // By their errors, not by their outcomes: a refusal that was stored as the answer is replayed as one.
  const refused = new Set(errors.filter(refusalIn).map(({ path }) => path?.length === 1 && path[0]));
  if (outcomes.every(([name]) => refused.has(name))) {
    delete singleResult.data;
    // Refused before anything ran, every root field carries the same error; one says it.
    const alike = refusals.length === errors.length && new Set(refusals).size === 1;
    if (alike && singleResult.errors !== undefined) singleResult.errors = singleResult.errors.slice(0, 1);
    batch.refusedStatuses.push(Math.max(...refusals.map(({ extensions }) => extensions.http.status)));
  }
  if (batch.refusedStatuses.length === batch.entries) {
    response.http.status = Math.max(...batch.refusedStatuses);
  } else if (singleResult.data != null || batch.entries > 1) {
    // There is data beside the refusal: GraphQL over HTTP wants 2xx then, and the codes speak.
    response.http.status = 200;
    headers.delete('retry-after');
  }
}

function refusalIn(error: GraphQLError): IdempotencyError | undefined {
  const original = error.originalError ?? error;
  return original instanceof IdempotencyError ? original : undefined;
}
