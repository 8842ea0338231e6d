/** The only room that knows Apollo Server: request → facts, outcomes → response, server's life → stores' life. */

import type { ApolloServerPlugin, BaseContext, GraphQLRequestContext } from '@apollo/server';
import type { GraphQLSchema } from 'graphql';
import type { FieldRule } from '../directive/field-rule.ts';
import { findUnsupportedKeys } from '../directive/misplaced-keys.ts';
import { ConfigurationError } from '../errors/configuration-error.ts';
import { keyUnsupported } from '../guard/refusals.ts';
import type { RequestRegistry } from '../graphql/request-facts.ts';
import { Batches } from './batches.ts';
import type { Batch } from './batches.ts';
import { shapeResponse } from './response.ts';

export interface PluginOptions {
  readonly requests: RequestRegistry;
  readonly applyTo: (schema: GraphQLSchema) => ReadonlyMap<string, FieldRule>;
  /** Opens the stores for one more server. */
  readonly retain: () => Promise<void>;
  /** Waits for the calls under way, with a bound. */
  readonly drain: () => Promise<void>;
  /** One server less; the last one closes the stores. */
  readonly release: () => Promise<void>;
}

export function apolloPlugin<TContext extends BaseContext>(
  options: PluginOptions,
): ApolloServerPlugin<TContext> {
  const batches = new Batches();
  /** Of the servers that are starting with this plugin, and hold the stores already. */
  const starting = new Set<() => Promise<void>>();
  const reported = new WeakSet<Error>();

  return {
    async serverWillStart({ schema }) {
      let released = false;
      const release = async (): Promise<void> => {
        if (released) return;
        released = true;
        starting.delete(release);
        await options.release();
      };
      try {
        options.applyTo(schema);
        starting.add(release);
        await options.retain();
      } catch (error) {
        reported.add(error as Error);
        if (starting.has(release)) await release();
        throw error;
      }
      return {
        schemaDidLoadOrUpdate({ coreSupergraphSdl }) {
          // The last hook of a start. What still fails it, another plugin's, fails it before the next turn.
          setImmediate(() => starting.delete(release));
          if (coreSupergraphSdl !== undefined) {
            throw new ConfigurationError(
              'This server is a federation gateway: its resolvers run in the subgraphs. Register the plugin in the subgraph that has the guarded mutations.',
            );
          }
        },
        drainServer: options.drain,
        serverWillStop: release,
      };
    },

    // The hooks of a stop never run for a server that failed to start. Apollo Server does not say which one
    // that was: were it not looked for among those that are starting, one that runs would lose its stores.
    async startupDidFail({ error }) {
      if (!reported.has(error)) await [...starting].at(-1)?.();
    },

    async requestDidStart(request) {
      const batch = join(batches, options.requests, request);
      return {
        async didResolveOperation({ operation, document, schema }) {
          // Mutations are planned by the guard; keys in other operations would go unnoticed.
          if (operation === undefined || operation.operation === 'mutation') return;
          const fragments = Object.fromEntries(
            document.definitions.flatMap((node) =>
              node.kind === 'FragmentDefinition' ? [[node.name.value, node]] : [],
            ),
          );
          const unsupported = findUnsupportedKeys(schema, { operation, fragments }, noRules);
          if (unsupported.length > 0) throw keyUnsupported(unsupported);
        },
        async willSendResponse({ response, errors, contextValue }) {
          const facts = options.requests.get(contextValue);
          if (facts !== undefined) shapeResponse(response, facts, errors ?? [], batch);
        },
      };
    },
  };
}

const noRules: ReadonlyMap<string, FieldRule> = new Map();

function join<TContext extends BaseContext>(
  batches: Batches,
  requests: RequestRegistry,
  { request, response, contextValue }: GraphQLRequestContext<TContext>,
): Batch {
  const extension: unknown = request.extensions?.['idempotencyKey'];
  const batch = batches.join(response.http, extension);
  // Apollo Server clones the context value for every operation, batch entries included.
  requests.set(contextValue, {
    keys: { header: request.http?.headers.get('idempotency-key'), extension },
    get headerShared() {
      return batch.entries > 1;
    },
    get extensionShared() {
      return (batch.extensionKeys.get(extension) ?? 0) > 1;
    },
    outcomes: new Map(),
  });
  return batch;
}
