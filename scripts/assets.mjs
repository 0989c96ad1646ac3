// Copies what tsc does not: what is generated of .proto files and loaded at run time.
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';

mkdirSync('dist/proto/gen', { recursive: true });
for (const file of ['descriptor.json', 'reflection.json'])
  copyFileSync(`proto/gen/${file}`, `dist/proto/gen/${file}`);
chmodSync('dist/cli/main.js', 0o755);
