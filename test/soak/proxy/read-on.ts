// node --import tsx test/soak/proxy/read-on.ts SEED: plays streams of smuggling attacks to the proxy's parsers and to
// Node's until SIGTERM. Exit code 1, with the seed and the stream, as soon as they read one differently.
import { requestStream } from '../../support/http-corpus.ts';
import { compareReaders } from '../../support/http-differences.ts';
import { NodeReader } from '../../support/http-readers.ts';
import { Random } from '../random.ts';

/** A new random sequence after so many streams, so that a failure is found again soon. */
const STREAMS = 20_000;

const seed = Number(process.argv[2]);
const seeds = Random.named(seed, 'readers');
let over = false;
let streams = 0;
let alike = 0;
process.once('SIGTERM', () => (over = true));
while (!over) {
  const own = seeds.between(0, 2 ** 31 - 1);
  const random = new Random(own);
  const node = new NodeReader();
  for (let i = 0; i < STREAMS && !over; i += 1) {
    const text = requestStream(random);
    const compared = await compareReaders(node, text);
    streams += 1;
    alike += compared.alike;
    if (compared.difference === '') continue;
    process.stdout.write(`SEED=${own}, stream ${i}: ${JSON.stringify(text)}: ${compared.difference}\n`);
    process.exit(1);
  }
}
process.stdout.write(`${streams} streams, ${alike} requests read alike\n`);
