// Run in a process of its own and killed at any instant: writes one state after the other over the same file.
import { writeWhole } from '../../../../aggregator/lkg/write.ts';
import { stateOf } from './fixture.ts';

const [file = '', from = '0'] = process.argv.slice(2);
for (let n = Number(from); ; n += 1) {
  await writeWhole(file, { source: 'a', kind: 'file', writtenAt: 1_000 + n, shards: stateOf(n) }, 1e9);
  if (n === Number(from)) process.stdout.write('first\n');
}
