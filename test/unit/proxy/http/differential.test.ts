// The proxy's parsers and node:http read the same bytes, and node:http reads what the proxy sends on: a request
// that the proxy takes for whole is the same request, with the same body and the same end, for a reader that
// nobody here wrote. What the proxy refuses and Node takes is fine: such a request never reaches anybody.
// ISTHMUS_LONG=1 plays a million streams; SEED=n repeats a run.
import { METHODS } from 'node:http';
import { expect, test } from 'vitest';
import { Random } from '../../../soak/random.ts';
import { requestStream } from '../../../support/http-corpus.ts';
import { NodeReader, readAsProxy } from '../../../support/http-readers.ts';
import type { ProxyRequest, ReadRequest, Reading } from '../../../support/http-readers.ts';

const STREAMS = process.env.ISTHMUS_LONG === '1' ? 1_000_000 : 60_000;

test(`${STREAMS} streams: what the proxy passes on, Node reads alike`, { timeout: 1_800_000 }, async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  const random = new Random(seed);
  const node = new NodeReader();
  let alike = 0;
  const refused = new Map<string, number>();
  for (let i = 0; i < STREAMS; i += 1) {
    const text = requestStream(random);
    const ours = readAsProxy(text);
    const whole = ours.requests.filter((request) => request.whole);
    refused.set(ours.end, (refused.get(ours.end) ?? 0) + 1);
    if (whole.length === 0) continue;
    const where = `seed ${seed}, stream ${i}: ${JSON.stringify(text)}`;
    const theirs = await node.read(text);
    const common = whole.slice(0, stoppedAlike(theirs, whole));
    expect(theirs.requests.slice(0, common.length), where).toEqual(common.map(asRead));
    for (const request of whole) expect(await difference(node, request), where).toBe('');
    alike += common.length;
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

const asRead = ({ line, fields, body, whole }: ProxyRequest): ReadRequest => ({ line, fields, body, whole });

/** Any token is a method (RFC 9110 §9.1); Node knows some. */
const isUnknown = ({ line }: ReadRequest): boolean => !METHODS.includes(line.slice(0, line.indexOf(' ')));

/**
 * How many of our requests Node must have read. There are two reasons for it to stop earlier, both legal: a
 * method that it does not know, and tabs around a length or a coding.
 */
function stoppedAlike(theirs: Reading, ours: readonly ProxyRequest[]): number {
  const tabbed = ours.findIndex((request) => request.tabbed);
  const all = tabbed < 0 ? ours.length : tabbed;
  const next = ours[theirs.requests.length];
  const unknown = theirs.end === 'HPE_INVALID_METHOD' && next !== undefined && isUnknown(next);
  return unknown ? Math.min(all, theirs.requests.length) : all;
}

/** '' when Node finds exactly this request in what an upstream is sent, and nothing behind it. */
async function difference(node: NodeReader, request: ProxyRequest): Promise<string> {
  if (isUnknown(request)) return '';
  const { requests, end } = await node.read(request.forwarded);
  const [first] = requests;
  if (requests.length !== 1 || !first || end !== '') return `${requests.length} requests, ${end}`;
  const [method] = request.line.split(' ');
  if (!first.whole || first.body !== request.body || !first.line.startsWith(`${method} `))
    return 'another one';
  return '';
}
