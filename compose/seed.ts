// npm run demo:seed: registers the demo's services in the registries of compose.yaml. Again is fine.
import { readFile } from 'node:fs/promises';
import { eventually } from '../test/support/eventually.ts';
import { SEEDED, seed } from './world.ts';

/** Eureka and the API server take their time. */
const UP_MS = 120_000;

await eventually(
  async () => {
    await seed({
      consul: 'http://127.0.0.1:8500',
      eureka: 'http://127.0.0.1:8761',
      etcd: 'http://127.0.0.1:2379',
      zookeeperPort: 2181,
      kubernetes: {
        url: 'https://127.0.0.1:6443',
        ca: await readFile(new URL('./run/certs/apiserver.crt', import.meta.url), 'utf8'),
        tokens: { admin: 'demo-token' },
      },
    });
    return true;
  },
  { withinMs: UP_MS, everyMs: 1_000, what: 'all registries to take their services' },
);
process.stdout.write(`orders is in ${SEEDED.join(', ')}\n`);
process.exit(0);
