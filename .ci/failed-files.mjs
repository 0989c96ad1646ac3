// node failed-files.mjs REPORT MAX: the files that failed in a run of vitest, one a line, when they may be run once
// more: at most MAX, all on true servers. Otherwise prints nothing. A rejection that nobody handled is of no file.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const [report, max] = process.argv.slice(2);
const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
const failed = testResults.filter(({ status }) => status === 'failed');
const files = failed.map(({ name }) => relative(process.cwd(), name));
const isOnServers = files.every((file) => /^test\/(contract|real)\//.test(file));
if (isOnServers && files.length <= Number(max)) for (const file of files) process.stdout.write(`${file}\n`);
