// node sum.mjs FOLDER PARTS: adds up vitest's reports in FOLDER (NAME.json, and NAME-again.json for files that were
// run once more), with PARTS failed parts. Names what failed at first, and ends with `N passed, N failed, N skipped`.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { relative } from 'node:path';

const [dir, parts] = process.argv.slice(2);
const read = (file) => JSON.parse(readFileSync(`${dir}/${file}`, 'utf8')).testResults;
const sum = { passed: 0, failed: 0, skipped: 0 };
let failedRuns = 0;
const flaky = [];

for (const file of readdirSync(dir).filter(
  (name) => name.endsWith('.json') && !name.endsWith('-again.json'),
)) {
  const again = file.replace('.json', '-again.json');
  const second = new Map(existsSync(`${dir}/${again}`) ? read(again).map((of) => [of.name, of]) : []);
  const results = read(file).map((first) => second.get(first.name) ?? first);
  for (const first of read(file)) if (second.get(first.name)?.status === 'passed') flaky.push(first);
  const before = sum.failed;
  for (const { status } of results.flatMap((of) => of.assertionResults)) {
    if (status === 'passed') sum.passed += 1;
    else if (status === 'failed') sum.failed += 1;
    else sum.skipped += 1;
  }
  if (sum.failed > before) failedRuns += 1;
}
// A failing run is counted by its tests, not once more as a part.
sum.failed += Math.max(0, Number(parts) - failedRuns);

for (const { name, assertionResults } of flaky) {
  for (const { status, fullName, failureMessages } of assertionResults) {
    if (status !== 'failed') continue;
    const [said = ''] = failureMessages;
    const lines = said.split('\n').slice(0, 12).join('\n  ');
    process.stdout.write(`flaky: ${relative(process.cwd(), name)}: ${fullName}\n  ${lines}\n`);
  }
}
process.stdout.write(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped\n`);
