/** The fingerprint of what is asked without GraphQL: a payload that no schema describes. */

import { GraphQLScalarType } from 'graphql';
import type { GraphQLArgument } from 'graphql';
import { fingerprintOf } from './fingerprint.ts';
import type { Fingerprint, FingerprintLimits } from './fingerprint.ts';

/** A scalar of the application's own, which is walked as it is. */
const payloadArguments: readonly GraphQLArgument[] = [
  {
    name: 'payload',
    type: new GraphQLScalarType({ name: 'Payload' }),
    description: undefined,
    defaultValue: undefined,
    deprecationReason: undefined,
    extensions: {},
    astNode: undefined,
  },
];

const nothing: readonly (readonly string[])[] = [];

/** @throws IdempotencyError PAYLOAD_UNSUPPORTED or PAYLOAD_TOO_LARGE. */
export function payloadFingerprint(name: string, payload: unknown, limits: FingerprintLimits): Fingerprint {
  return fingerprintOf({
    coordinate: name,
    args: payloadArguments,
    values: { payload },
    omit: nothing,
    limits,
  });
}
