/** Knows the canonical forms of schema defaults, computed once. */

import { canonicalBytes } from './canonical-walk.ts';
import type { PayloadLimits } from './canonical-walk.ts';
import type { InputDefinition } from './input-definitions.ts';
import type { OmittedPaths } from './omitted-paths.ts';
import { PayloadRefusal } from './payload-refusal.ts';

const UNLIMITED: PayloadLimits = {
  maxPayloadBytes: Number.POSITIVE_INFINITY,
  maxPayloadDepth: Number.POSITIVE_INFINITY,
  maxPayloadNodes: Number.POSITIVE_INFINITY,
};

const forms = new WeakMap<OmittedPaths, WeakMap<InputDefinition, Buffer | undefined>>();

/** Returns a definition's name and default as the walk writes them, or `undefined` if the default has no form. */
export function defaultFormOf(definition: InputDefinition, omit: OmittedPaths): Buffer | undefined {
  let known = forms.get(omit);
  if (known === undefined) {
    known = new WeakMap();
    forms.set(omit, known);
  }
  if (known.has(definition)) return known.get(definition);
  // Before the walk, which must not ask for this form again: the default of a recursive type may nest itself.
  known.set(definition, undefined);
  const form = computeForm(definition, omit);
  known.set(definition, form);
  return form;
}

function computeForm(definition: InputDefinition, omit: OmittedPaths): Buffer | undefined {
  const input = {
    // Without its default, or the walk would leave out what it is to write.
    definitions: [{ ...definition, defaultValue: undefined }],
    values: { [definition.name]: definition.defaultValue },
    omit: { whole: false, children: new Map([[definition.name, omit]]) },
  };
  try {
    const object = canonicalBytes(input, UNLIMITED, defaultFormOf);
    return Buffer.from(object.subarray(1, -1));
  } catch (error) {
    // Then no value is equal to it but itself.
    if (error instanceof PayloadRefusal) return undefined;
    throw error;
  }
}
