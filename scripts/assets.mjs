// Copies what tsc does not: the generated descriptor that proto/codec.ts loads at run time.
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';

mkdirSync('dist/proto/gen', { recursive: true });
copyFileSync('proto/gen/descriptor.json', 'dist/proto/gen/descriptor.json');
chmodSync('dist/cli/main.js', 0o755);
