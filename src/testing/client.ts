/** Calls the mutation as a client would: with a key, and again while it is told to come again. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApolloServer, BaseContext } from '@apollo/server';
import type { DocumentNode, GraphQLFormattedError } from 'graphql';
import { errorTable } from '../errors/codes.ts';
import type { ErrorCode } from '../errors/codes.ts';
import { currentRehearsal, rehearse } from '../guard/rehearsal.ts';
import type { IdempotencyMessage } from '../telemetry/channels.ts';
import { RehearsedCall } from './rehearsed-call.ts';
import type { Fault } from './rehearsed-call.ts';

/** The mutation, and the server that has it. */
export interface Operation<TContext extends BaseContext> {
  /** The server, started or not; one that is not is started, and left to you to stop. */
  readonly server: ApolloServer<TContext>;
  /** A mutation with one guarded field. */
  readonly operation: string | DocumentNode;
  /**
   * Its variables, or a function that makes them from the key: for arguments that must be new each time, and for
   * keys that are sent in `@idempotent(key:)` or in the argument that is the field's `keyArgument`.
   */
  readonly variables?: Variables | ((key: string) => Variables);
  /** The context value, or a function that makes one for each call. The scope must be the same in all of them. */
  readonly contextValue?:
    | NoInfer<TContext>
    | ((key: string) => NoInfer<TContext> | Promise<NoInfer<TContext>>);
}

export type Variables = Readonly<Record<string, unknown>>;

export interface Reply {
  readonly data: unknown;
  readonly errors: readonly GraphQLFormattedError[];
  readonly call: RehearsedCall;
}

export interface Client {
  /** Sends the mutation once. */
  send(key: string, fault?: Fault): Promise<Reply>;
  /** Sends it again while it is told that it may come again, as it is for as long as its last attempt dies. */
  retry(key: string): Promise<Reply>;
  close(): void;
}

const RETRY_TIMEOUT_MS = 5000;
const RETRY_WAIT_MS = 20;

export function createClient<TContext extends BaseContext>(operation: Operation<TContext>): Client {
  const listen = (message: unknown): void => {
    const rehearsal = currentRehearsal();
    if (rehearsal instanceof RehearsedCall) rehearsal.hear(message as IdempotencyMessage);
  };
  subscribe('graphql-idempotency', listen);

  async function send(key: string, fault?: Fault): Promise<Reply> {
    const request = {
      query: operation.operation,
      variables: madeFor(operation.variables, key) ?? {},
      extensions: { idempotencyKey: key },
    };
    const contextValue = ((await madeFor(operation.contextValue, key)) ?? {}) as TContext;
    const call = new RehearsedCall(fault);
    try {
      const { body } = await rehearse(call, () =>
        operation.server.executeOperation(request, { contextValue }),
      );
      if (body.kind !== 'single') {
        throw new TypeError('verifyIdempotency takes no operation whose answer comes in parts.');
      }
      const { data, errors = [] } = body.singleResult;
      return { data, errors, call };
    } finally {
      call.end();
    }
  }

  async function retry(key: string): Promise<Reply> {
    const deadline = performance.now() + RETRY_TIMEOUT_MS;
    for (;;) {
      const reply = await send(key);
      if (!mayComeAgain(reply) || performance.now() > deadline) return reply;
      await sleep(RETRY_WAIT_MS);
    }
  }

  return { send, retry, close: () => void unsubscribe('graphql-idempotency', listen) };
}

function madeFor<T>(given: T | ((key: string) => T | Promise<T>), key: string): T | Promise<T> {
  return typeof given === 'function' ? (given as (key: string) => T | Promise<T>)(key) : given;
}

function mayComeAgain({ call }: Reply): boolean {
  const { outcome, code } = call.answered ?? {};
  return outcome === 'refused' && errorTable[code as ErrorCode]?.retryable === true;
}
