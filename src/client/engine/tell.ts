/** Calls listeners, whose mistakes are theirs alone. */

/** A listener that throws must not cost the mutation its next attempt. */
export function tell<Told>(listener: ((told: Told) => void) | undefined, told: Told): void {
  try {
    listener?.(told);
  } catch (error) {
    console.error(error);
  }
}
