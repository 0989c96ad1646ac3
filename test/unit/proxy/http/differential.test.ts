// The proxy's parsers and node:http read the same bytes, and node:http reads what the proxy sends on: a request
// that the proxy takes for whole is the same request, with the same body and the same end, for a reader that
// nobody here wrote. What the proxy refuses and Node takes is fine: such a request never reaches anybody.
// ISTHMUS_LONG=1 plays a million streams; SEED=n repeats a run.
import { expect, test } from 'vitest';
import { Random } from '../../../soak/random.ts';
import { requestStream } from '../../../support/http-corpus.ts';
import { compareReaders } from '../../../support/http-differences.ts';
import { NodeReader } from '../../../support/http-readers.ts';

const STREAMS = process.env.ISTHMUS_LONG === '1' ? 1_000_000 : 60_000;

test(`${STREAMS} streams: what the proxy passes on, Node reads alike`, { timeout: 1_800_000 }, async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  const random = new Random(seed);
  const node = new NodeReader();
  let alike = 0;
  const refused = new Map<string, number>();
  for (let i = 0; i < STREAMS; i += 1) {
    const text = requestStream(random);
    const compared = await compareReaders(node, text);
    refused.set(compared.end, (refused.get(compared.end) ?? 0) + 1);
    if (compared.difference !== '') {
      expect.fail(`seed ${seed}, stream ${i}: ${JSON.stringify(text)}: ${compared.difference}`);
    }
    alike += compared.alike;
  }
  // The corpus must try what it is for.
  expect(alike).toBeGreaterThan(STREAMS / 2);
  for (const reason of [
    'malformed chunk',
    'both Content-Length and Transfer-Encoding',
    'malformed header field',
  ]) {
    expect(refused.get(reason), reason).toBeGreaterThan(STREAMS / 1_000);
  }
});
