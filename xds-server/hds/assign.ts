// Who checks what: each endpoint is given to a few of the connected data planes, always the same ones while
// they are there (rendezvous hashing), so that one that comes or goes moves only its own part. Pure.
import { contentHash } from '../../lib/hash.ts';

/** An endpoint that data planes are to check. */
export interface HealthTarget {
  /** Canonical service name: whom the endpoint has to answer as. */
  readonly service: string;
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  /** `http` asks who is there; `tcp` only whether somebody is. */
  readonly how: 'http' | 'tcp';
  /** Of the GET; unused for `tcp`. */
  readonly path: string;
}

/** Of an endpoint and a way of asking. */
export const targetKey = ({ service, address, port, how }: Omit<HealthTarget, 'path'>): string =>
  `${how} ${service} ${address} ${port}`;

/** @param checkers how many nodes look at one endpoint. Every node is in the answer. */
export function assign(
  targets: readonly HealthTarget[],
  nodes: readonly string[],
  checkers: number,
): ReadonlyMap<string, readonly HealthTarget[]> {
  const seeded = nodes.map((node) => ({ seed: seedOf(node), own: [] as HealthTarget[] }));
  for (const target of targets) {
    const seed = seedOf(targetKey(target));
    const ranked: { rank: number; own: HealthTarget[] }[] = [];
    for (const node of seeded) {
      const rank = mix(node.seed ^ seed);
      // Only so many are kept, the best first: nodes × endpoints may be millions.
      const at = ranked.findIndex((other) => rank < other.rank);
      if (at >= 0) ranked.splice(at, 0, { rank, own: node.own });
      else if (ranked.length < checkers) ranked.push({ rank, own: node.own });
      if (ranked.length > checkers) ranked.pop();
    }
    for (const { own } of ranked) own.push(target);
  }
  return new Map(nodes.map((node, i) => [node, seeded[i]?.own ?? []]));
}

const seedOf = (text: string): number => Number.parseInt(contentHash(text).slice(0, 8), 16);

/** Spreads 32 bits: each bit of the answer depends on all of the input. */
function mix(value: number): number {
  const a = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
  const b = Math.imul(a ^ (a >>> 15), 0x735a2d97);
  return (b ^ (b >>> 15)) >>> 0;
}
