/** What a library means by the command that begins or ends a transaction, where one is under way already. */

import { statementHeads } from '../sql-commands.ts';

export type TransactionCommand =
  | { readonly kind: 'begin' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'rollback' }
  /** Asks for what the attempt's transaction is already. */
  | { readonly kind: 'granted' }
  /** Cannot be done inside the attempt's transaction, and why. */
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Reads the command that a text is. `undefined`: none, so that the text can be sent as it is.
 *
 * What a transaction is begun with is looked at: a caller that demands an isolation that the attempt's
 * transaction has not must not be left to believe that it has it.
 */
export function transactionCommandOf(text: string): TransactionCommand | undefined {
  // Most statements are none, and are read no further than their first letter.
  if (!MAY_BE_COMMAND.test(text)) return undefined;
  const statements = [...statementHeads(text, MAX_WORDS)].filter((words) => words.length > 0);
  const commands = statements.map(commandOf);
  if (statements.length === 1) return commands[0];
  if (commands.every((command) => command === undefined || command.kind === 'granted')) return undefined;
  return refused(
    'has a command that begins or ends a transaction among others: inside an attempt, send it by itself',
  );
}

/** Whether the text may set a savepoint. */
export function mentionsSavepoint(text: string): boolean {
  return /\bsavepoint\b/i.test(text);
}

/** Reads whether a text sets a savepoint, or rolls back to one, and its name. */
export function savepointCommandOf(
  text: string,
): { readonly kind: 'set' | 'rollback'; readonly name: string } | undefined {
  const [, command, quoted, plain] = SAVEPOINT.exec(text) ?? [];
  if (command === undefined) return undefined;
  const name = quoted?.replaceAll('""', '"') ?? plain!.toLowerCase();
  return { kind: /^savepoint/i.test(command) ? 'set' : 'rollback', name };
}

const SAVEPOINT =
  /^\s*(savepoint|rollback(?:\s+work|\s+transaction)?\s+to(?:\s+savepoint)?)\s*(?:"((?:[^"]|"")+)"|([^\s;"]+))\s*;?\s*$/i;

const MAX_WORDS = 12;

const MAY_BE_COMMAND = /\b(?:begin|start|commit|end|rollback|abort|prepare|set)\b/i;

function commandOf(words: readonly string[]): TransactionCommand | undefined {
  const [first, second] = words;
  switch (first) {
    case 'BEGIN':
      return demanding(words, 1) ?? { kind: 'begin' };
    case 'START':
      return second === 'TRANSACTION' ? (demanding(words, 2) ?? { kind: 'begin' }) : undefined;
    case 'COMMIT':
    case 'END':
      if (second === 'PREPARED') return refused('is not possible inside an attempt');
      return chaining(words) ?? { kind: 'commit' };
    case 'ROLLBACK':
      if (words.includes('TO')) return undefined;
      if (second === 'PREPARED') return refused('is not possible inside an attempt');
      return chaining(words) ?? { kind: 'rollback' };
    case 'ABORT':
      return chaining(words) ?? { kind: 'rollback' };
    case 'PREPARE':
      return second === 'TRANSACTION' ? refused('is not possible inside an attempt') : undefined;
    case 'SET':
      return second === 'TRANSACTION' ? (demanding(words, 2) ?? { kind: 'granted' }) : undefined;
    default:
      return undefined;
  }
}

/** What is demanded and cannot be given. The attempt's transaction is READ COMMITTED and READ WRITE. */
function demanding(words: readonly string[], from: number): TransactionCommand | undefined {
  const demanded = words.slice(from).join(' ');
  const level = /\bISOLATION LEVEL (SERIALIZABLE|REPEATABLE READ)\b/.exec(demanded)?.[1];
  if (level !== undefined) return refused(`demands ${level}: ${OUTER}`);
  if (/\bREAD ONLY\b/.test(demanded)) return refused(`demands READ ONLY: ${OUTER}`);
  if (/\bSNAPSHOT\b/.test(demanded)) return refused(`demands another's snapshot: ${OUTER}`);
  return undefined;
}

const OUTER =
  'it would be part of the transaction of a guarded call, which is READ COMMITTED and READ WRITE. Take locks where others must wait, or leave the demand out';

function chaining(words: readonly string[]): TransactionCommand | undefined {
  const chained = words.includes('CHAIN') && !words.includes('NO');
  return chained ? refused('chains transactions, which is not possible inside an attempt') : undefined;
}

function refused(reason: string): TransactionCommand {
  return { kind: 'refused', reason };
}
