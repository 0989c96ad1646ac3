// One stream of requests read twice: by the proxy's parsers and by node:http. What the proxy takes for whole must be
// the same requests there, and so must be what it sends on.
import { METHODS } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { readAsProxy } from './http-readers.ts';
import type { NodeReader, ProxyRequest, ReadRequest, Reading } from './http-readers.ts';

export interface Compared {
  /** Requests that both read, and read alike. */
  readonly alike: number;
  /** Why the proxy read no further. */
  readonly end: string;
  /** '' when there is none. */
  readonly difference: string;
}

export async function compareReaders(node: NodeReader, text: string): Promise<Compared> {
  const ours = readAsProxy(text);
  const whole = ours.requests.filter((request) => request.whole);
  const { end } = ours;
  if (whole.length === 0) return { alike: 0, end, difference: '' };
  const theirs = await node.read(text);
  const common = whole.slice(0, stoppedAlike(theirs, whole)).map(asRead);
  const read = theirs.requests.slice(0, common.length);
  if (!isDeepStrictEqual(read, common)) {
    return { alike: 0, end, difference: `Node read ${JSON.stringify(read)}, not ${JSON.stringify(common)}` };
  }
  for (const request of whole) {
    const difference = await forwardedDifference(node, request);
    if (difference !== '') return { alike: 0, end, difference: `sent on: ${difference}` };
  }
  return { alike: common.length, end, difference: '' };
}

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
async function forwardedDifference(node: NodeReader, request: ProxyRequest): Promise<string> {
  if (isUnknown(request)) return '';
  const { requests, end } = await node.read(request.forwarded);
  const [first] = requests;
  if (requests.length !== 1 || !first || end !== '') return `${requests.length} requests, ${end}`;
  const [method] = request.line.split(' ');
  if (!first.whole || first.body !== request.body || !first.line.startsWith(`${method} `))
    return 'another one';
  return '';
}
