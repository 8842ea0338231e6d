/** Prints `N passed, N failed, N skipped` as the very last line of a test run, and never calls a broken run good. */

import type { Reporter, TestModule, TestSuite } from 'vitest/node';

/** Vitest loads reporters by their default export. */
export default class ClosingLineReporter implements Reporter {
  readonly #counts = { passed: 0, failed: 0, skipped: 0 };

  onInit(): void {
    process.env['TEST_CLOSING_LINE'] = 'printed by the reporter';
    // Summaries and teardown print after the last reporter hook; nothing prints after the process's exit.
    process.on('exit', (code) => {
      process.stdout.write(`${this.#close(code)}\n`);
    });
  }

  onTestModuleEnd(module: TestModule): void {
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      this.#counts[state === 'passed' || state === 'failed' ? state : 'skipped'] += 1;
    }
    // A file that doesn't load and a hook that throws leave tests unrun, which must not read as a success.
    this.#counts.failed += [module, ...module.children.allSuites()].filter(hasErrors).length;
  }

  #close(exitCode: number): string {
    const { passed, skipped } = this.#counts;
    const broken = exitCode !== 0 || process.exitCode || passed + this.#counts.failed === 0;
    const failed = this.#counts.failed === 0 && broken ? 1 : this.#counts.failed;
    if (failed > 0) process.exitCode ||= 1;
    return `${passed} passed, ${failed} failed, ${skipped} skipped`;
  }
}

function hasErrors(part: TestModule | TestSuite): boolean {
  return part.errors().length > 0;
}
