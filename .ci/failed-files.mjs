// node failed-files.mjs REPORT MAX: the files that failed in a run of vitest, one a line, when they may be run once
// more: at most MAX, all on true servers, and nothing else went wrong. Otherwise prints nothing.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const [report, max] = process.argv.slice(2);
const { testResults, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'));
const failed = testResults.filter(({ status }) => status === 'failed');
const files = failed.map(({ name }) => relative(process.cwd(), name));
const isOnServers = files.every((file) => /^test\/(contract|real)\//.test(file));
// A failure outside of any test (a rejection nobody handled) names no test.
const isOfTests = numFailedTests >= files.length;
if (isOnServers && isOfTests && files.length <= Number(max))
  for (const file of files) process.stdout.write(`${file}\n`);
