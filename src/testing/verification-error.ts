/** How a verification says that a mutation is not safe to retry. */

/**
 * `doubled`: happened more often than it should. `lost`: happened less often. `early`: happened although the
 * mutation had failed, and was not repeated by the retry. `answer`: a client was told something else than it
 * should have been. `inconclusive`: the mutation could not be verified as it was given.
 */
export type FindingKind = 'doubled' | 'lost' | 'early' | 'answer' | 'inconclusive';

export interface Finding {
  readonly kind: FindingKind;
  /** Names of the counts that show it. */
  readonly effects: readonly string[];
  /** Where it was seen. */
  readonly scenarios: readonly string[];
  /** What happened, why most likely, and what to do. */
  readonly message: string;
}

/** The mutation is not safe to retry, or could not be verified. The message has the sentences of all findings. */
export class VerificationError extends Error {
  override readonly name = 'VerificationError';
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    super(findings.map(({ message }) => message).join('\n'));
    this.findings = findings;
  }
}
