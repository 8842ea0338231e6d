/** Finds in SQL text the commands that begin or end a transaction. Knows Postgres's quoting and comments. */

/**
 * Returns the first command of the text that would begin or end a transaction, or `undefined`.
 * Savepoints are not among them: they stay inside the transaction.
 */
export function transactionCommandIn(text: string): string | undefined {
  if (!MAY_END.test(text)) return undefined;
  for (const words of statementHeads(text)) {
    const [first, second] = words;
    switch (first) {
      case 'BEGIN':
      case 'START':
      case 'COMMIT':
      case 'END':
      case 'ABORT':
        return first;
      case 'ROLLBACK':
        // ROLLBACK TO [SAVEPOINT], ROLLBACK WORK TO, ROLLBACK TRANSACTION TO
        if (second !== 'TO' && words[2] !== 'TO') return first;
        break;
      case 'PREPARE':
        if (second === 'TRANSACTION') return 'PREPARE TRANSACTION';
        break;
      default:
    }
  }
  return undefined;
}

// Most texts have none of these words, and need not be read closely.
const MAY_END = /\b(?:begin|start|commit|end|abort|rollback|prepare)\b/i;
const MAY_OUTLIVE = /\b(?:set|reset|discard|listen)\b/i;

const WRITING = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE', 'INTO']);
const READING = new Set([
  'SELECT',
  'WITH',
  'VALUES',
  'TABLE',
  'SHOW',
  'SAVEPOINT',
  'RELEASE',
  'ROLLBACK',
  'SET',
]);

/**
 * Whether the text only reads, as far as its words tell. A function of the application's that is selected may
 * write, so only those of Postgres read.
 */
export function readsOnly(text: string): boolean {
  for (const words of statementHeads(text, Number.POSITIVE_INFINITY)) {
    if (words.length > 0 && !READING.has(words[0]!)) return false;
    if (words.some((word) => WRITING.has(word))) return false;
  }
  for (const [, name] of text.matchAll(CALLED)) if (!READING_FUNCTION.test(name!)) return false;
  return true;
}

/** A function whose answer is all that is selected, or selected from: those that write are called so. */
const CALLED = /\b(?:select|from)\s+((?:[\w$"]+\.)?[\w$"]+)\s*\(/gi;

const READING_FUNCTION =
  /^(?:pg_catalog\.)?(?:abs|age|all|any_value|array\w*|avg|bool_\w+|cast|ceil|clock_timestamp|coalesce|concat\w*|count|curr\w+|date_\w+|dense_rank|distinct|every|exists|extract|first_value|floor|format|gen_random_uuid|generate_series|greatest|json\w*|lag|last\w*|lateral|lead|least|length|lower|max|md5|min|nextval|now|nullif|only|percentile_\w+|pg_\w+|random|rank|regexp_\w+|round|row\w*|set_config|setval|statement_timestamp|string_agg|substring|sum|to_\w+|transaction_timestamp|trim|txid_\w+|unnest|upper|version)$/i;

/** Whether the text has a command whose effect outlives the transaction: SET without LOCAL, LISTEN and their kin. */
export function changesSession(text: string): boolean {
  if (!MAY_OUTLIVE.test(text)) return false;
  for (const words of statementHeads(text)) if (isOfSession(words)) return true;
  return false;
}

/** Whether the text has such commands, and no others. */
export function changesSessionOnly(text: string): boolean {
  const statements = [...statementHeads(text)].filter((words) => words.length > 0);
  return statements.length > 0 && statements.every(isOfSession);
}

function isOfSession([first, second]: readonly string[]): boolean {
  switch (first) {
    case 'SET':
      return second !== 'LOCAL' && second !== 'TRANSACTION' && second !== 'CONSTRAINTS';
    case 'RESET':
    case 'DISCARD':
    case 'LISTEN':
      return true;
    default:
      return false;
  }
}

// In order: comments, the beginnings of quoted text (escape strings first: they alone know backslashes), words, ends.
const TOKEN =
  /--[^\n\r]*|\/\*|\b[eE]'|'|"|\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|;/g;

/** The first words of every statement in the text, in upper case. */
export function* statementHeads(text: string, count = 3): Generator<readonly string[]> {
  for (const { words } of statementsIn(text, count)) yield words;
}

/** Every statement of the text: its first words, in upper case, and what follows the first of them. */
export function* statementsIn(
  text: string,
  count = 3,
): Generator<{ readonly words: readonly string[]; readonly rest: string }> {
  let words: string[] = [];
  let rest = 0;
  const token = new RegExp(TOKEN);
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [found] = match;
    if (found === ';') {
      yield { words, rest: text.slice(rest, match.index) };
      words = [];
    } else if (found === '/*') {
      token.lastIndex = endOfComment(text, token.lastIndex);
    } else if (found === "e'" || found === "E'") {
      token.lastIndex = endOfEscapeString(text, token.lastIndex);
    } else if (found === "'" || found === '"' || found.startsWith('$')) {
      // A doubled quote reads as the end of one text and the beginning of the next: all the same here.
      const end = text.indexOf(found, token.lastIndex);
      token.lastIndex = end === -1 ? text.length : end + found.length;
    } else if (!found.startsWith('--') && words.length < count) {
      if (words.length === 0) rest = token.lastIndex;
      words.push(found.toUpperCase());
    }
  }
  yield { words, rest: text.slice(rest) };
}

/**
 * A quote ends an escape string unless another follows it: at once, or behind white space with a line break.
 * Backslashes go on escaping in what follows, so it must not be read as a string of its own.
 */
function endOfEscapeString(text: string, start: number): number {
  const mark =
    /\\[\s\S]|''|'[ \t\f\v]*(?:--[^\n\r]*)?[\n\r][ \t\n\r\f\v]*(?:--[^\n\r]*[\n\r][ \t\n\r\f\v]*)*'|'/g;
  mark.lastIndex = start;
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    if (match[0] === "'") return mark.lastIndex;
  }
  return text.length;
}

/** Comments nest in Postgres. */
function endOfComment(text: string, start: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = start;
  let depth = 1;
  for (let match = mark.exec(text); match !== null; match = mark.exec(text)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return text.length;
}
