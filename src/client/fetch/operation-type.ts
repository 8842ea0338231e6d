/** Which operation of a GraphQL document is run, without a parser: only strings and comments could mislead. */

export type OperationType = 'query' | 'mutation' | 'subscription';

const TOKEN = /"""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n\r])*"|#[^\n\r]*|[{}()@$]|[_A-Za-z][_0-9A-Za-z]*/g;

/** `undefined` where the document has no such operation, or several of which none is named. */
export function operationType(document: string, operationName?: string | null): OperationType | undefined {
  const operations: { readonly type: OperationType; name?: string }[] = [];
  let braces = 0;
  let parentheses = 0;
  let begun = false;
  let previous = '';
  for (const [token] of document.matchAll(TOKEN)) {
    if (token.startsWith('"') || token.startsWith('#')) continue;
    // Arguments and variables may hold braces of their own.
    if (token === '(') parentheses += 1;
    else if (token === ')') parentheses -= 1;
    else if (parentheses > 0) continue;
    else if (token === '{') {
      if (!begun) operations.push({ type: 'query' });
      begun = true;
      braces += 1;
    } else if (token === '}') {
      braces -= 1;
      begun = braces > 0;
    } else if (braces === 0) {
      if (!begun && isOperationType(token)) operations.push({ type: token });
      else if (begun && isOperationType(previous) && isName(token)) operations.at(-1)!.name = token;
      // What follows the first two words is neither a keyword nor a name.
      previous = begun ? '' : token;
      begun = true;
      continue;
    }
    previous = '';
  }
  if (operationName) return operations.find(({ name }) => name === operationName)?.type;
  return operations.length === 1 ? operations[0]!.type : undefined;
}

function isOperationType(token: string): token is OperationType {
  return token === 'query' || token === 'mutation' || token === 'subscription';
}

function isName(token: string): boolean {
  return /^\w/.test(token);
}
