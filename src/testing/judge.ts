/** Judges what was seen: which effects were doubled or lost, which answers were wrong, and why most likely. */

import { isDeepStrictEqual } from 'node:util';
import type { Reply } from './client.ts';
import type { ScenarioName, Trial } from './scenarios.ts';
import { errorText, names, outsideTransaction } from './sentences.ts';
import type { Finding, FindingKind } from './verification-error.ts';

export interface Verified {
  /** The field, by its coordinate. */
  readonly field: string;
  /** Effects that a derived key protects. */
  readonly keyed: readonly string[];
  /** Effects that come only after the answer. */
  readonly late: readonly string[];
}

/** Says everything that is wrong, each of it once. */
export function judge(verified: Verified, trials: readonly Trial[]): readonly Finding[] {
  const completed = trials.filter((trial) => trial.kind === 'completed');
  return [...effectsIn(verified, completed), ...trials.flatMap((trial) => answersIn(verified, trial))];
}

type CompletedTrial = Extract<Trial, { readonly kind: 'completed' }>;

type Verdict = 'doubled after failure' | 'early' | 'doubled' | 'lost';

interface Seen {
  readonly effect: string;
  readonly verdict: Verdict;
  readonly scenarios: ScenarioName[];
  readonly amounts: string;
  late: boolean;
  wroteNothing: boolean;
}

function effectsIn({ field, keyed, late }: Verified, trials: readonly CompletedTrial[]): readonly Finding[] {
  const seen = new Map<string, Seen>();
  for (const trial of trials) {
    for (const effect of Object.keys(trial.total)) {
      const verdict = verdictOn(trial, effect, keyed);
      if (verdict === undefined) continue;
      const amounts = `${trial.total[effect]} instead of ${trial.expected[effect] ?? 0}`;
      const name = [effect, verdict, amounts].join(' ');
      const one = seen.get(name) ?? {
        effect,
        verdict,
        amounts,
        scenarios: [],
        late: false,
        wroteNothing: false,
      };
      one.scenarios.push(trial.scenario);
      one.late ||= late.includes(effect) || trial.late.includes(effect);
      one.wroteNothing ||= trial.wroteNothing;
      seen.set(name, one);
    }
  }
  return [...seen.values()].map((one) => ({
    kind: kinds[one.verdict],
    effects: [one.effect],
    scenarios: one.scenarios,
    message: `${field}: ${sentence(field, one)}`,
  }));
}

const kinds: Readonly<Record<Verdict, FindingKind>> = {
  'doubled after failure': 'doubled',
  early: 'early',
  doubled: 'doubled',
  lost: 'lost',
};

function verdictOn(trial: CompletedTrial, effect: string, keyed: readonly string[]): Verdict | undefined {
  const total = trial.total[effect] ?? 0;
  const expected = trial.expected[effect] ?? 0;
  const failed = trial.failed?.[effect] ?? 0;
  // What shrinks is an effect, too: a stock, for example.
  const exceeds = Math.abs(total) > Math.abs(expected);
  if (failed !== 0) {
    if (exceeds && total !== failed) return 'doubled after failure';
    return keyed.includes(effect) && total === expected ? undefined : 'early';
  }
  if (total === expected) return undefined;
  if (exceeds) return 'doubled';
  // Of a retry that failed nothing is to be expected; the answer says so.
  return trial.retries.some(({ errors }) => errors.length > 0) ? undefined : 'lost';
}

function sentence(field: string, { effect, verdict, scenarios, amounts, ...circumstances }: Seen): string {
  const what = names([effect]);
  const where = scenarios.join(', ');
  switch (verdict) {
    case 'doubled after failure':
      return `${what} happened although the mutation had failed (${where}), and once more with the retry: it is doubled (${amounts}). ${outsideTransaction(circumstances)}`;
    case 'early':
      return `${what} happened although the mutation had failed (${where}); the retry did not repeat it. ${outsideTransaction(circumstances)} Where a key from deriveKey() keeps it from being doubled, name it in \`keyed\`.`;
    case 'doubled':
      return `${what} happened more than once (${where}) although the resolver did its work once: it is doubled (${amounts}). It happens outside the resolver: in a field below it, a wrapper, a plugin or the context function. Do it in the resolver of ${field}.`;
    case 'lost':
      return `${what} did not happen, although the mutation succeeded in the end (${where}): it is lost (${amounts}). Something that was not rolled back knows of the attempt that failed: a cache, a flag in memory, or a row written on another connection.`;
  }
}

function answersIn({ field }: Verified, trial: Trial): readonly Finding[] {
  const { scenario } = trial;
  const finding = (kind: FindingKind, message: string): Finding => ({
    kind,
    effects: [],
    scenarios: [scenario],
    message: `${field}: ${message}`,
  });
  switch (trial.kind) {
    case 'skipped':
      return [];
    case 'failed':
      return [
        finding(
          'inconclusive',
          `the mutation had succeeded, and failed with another key (${scenario}): ${errorText(trial.reply)} Where its arguments can be used only once, make them of the key: variables: (key) => ({ … }).`,
        ),
      ];
    case 'unsteady':
      return [
        finding(
          'inconclusive',
          `its effects were others with another key (${scenario}): ${Object.entries(trial.growth)
            .map(([name, count]) => `${names([name])} ${count}`)
            .join(
              ', ',
            )}. Let nobody else change what \`effects\` counts, make arguments that can be used only once of the key, and choose \`settleMs\` so that all effects are there by then.`,
        ),
      ];
    case 'completed': {
      const unfailed = trial.unfailed
        ? [finding('answer', `it was answered with success although its attempt had failed (${scenario}).`)]
        : [];
      const wrong = trial.retries.map((reply) => wrongIn(reply, trial)).filter((why) => why !== undefined);
      return [...unfailed, ...[...new Set(wrong)].map((why) => finding('answer', why))];
    }
  }
}

/** What is wrong with the answer of a retry; `undefined` if nothing is. */
function wrongIn({ data, errors, call }: Reply, { scenario, first }: CompletedTrial): string | undefined {
  if (first === undefined) {
    if (errors.length === 0) return undefined;
    return `the retry failed, too (${scenario}): ${errorText({ data, errors, call })} What the attempt before it has left behind may be in its way.`;
  }
  if (call.executed !== undefined) {
    return `a retry was executed again instead of being replayed (${scenario}). The scope and the arguments must be the same for one key: \`contextValue\` and \`variables\` must not be others with each call.`;
  }
  if (errors.length > first.errors.length) {
    return `a retry did not get the first answer (${scenario}), but ${errorText({ data, errors, call })}`;
  }
  if (isDeepStrictEqual(data, first.data)) return undefined;
  return `a retry got another answer than the first call (${scenario}). The result of the field is replayed; what differs is resolved anew below it. Select in \`operation\` only what stays the same.`;
}
