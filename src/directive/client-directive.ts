/** The form of `@idempotent` that clients see: a key on a field of their operation. */

import { DirectiveLocation, GraphQLDirective, GraphQLNonNull, GraphQLString } from 'graphql';

/** Is served in place of the schema author's form, so that introspection offers no `mode` and no `ttl`. */
export const clientDirective: GraphQLDirective = new GraphQLDirective({
  name: 'idempotent',
  description:
    'Makes a mutation safe to retry: of all calls with the same key one is executed, and every other gets its answer.',
  locations: [DirectiveLocation.FIELD],
  args: {
    key: {
      type: new GraphQLNonNull(GraphQLString),
      description: '1-255 visible ASCII characters, new for every new intent, the same for every retry.',
    },
  },
});
