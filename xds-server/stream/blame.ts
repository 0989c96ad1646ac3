// Reads from a client's words which resources of a response it refuses. Envoy writes `NAME: reason` for each
// one that it could not take, and a dump of the first one that breaks a rule.
import type { EncodedResource } from '../resource.ts';

/** Error texts can hold a whole resource (80 KB seen); what is kept is enough to act on. */
const MAX_ERROR_BYTES = 4_096;
const MAX_SEARCHED_LENGTH = 16_384;

/** The text as it is kept: at most 4 KiB, and a copy, so that the request it came in can be freed. */
export function shortened(error: string): string {
  const bytes = Buffer.from(error, 'utf8');
  if (bytes.length <= MAX_ERROR_BYTES) return bytes.toString('utf8');
  // The last character may have been cut in the middle.
  return bytes
    .subarray(0, MAX_ERROR_BYTES)
    .toString('utf8')
    .replace(/\uFFFD$/, '');
}

export interface Blame {
  /** Surely at fault: a reason follows the name, or it is the only one that is named. */
  readonly guilty: readonly EncodedResource[];
  /** Perhaps at fault: named among others, or nobody was named. Never overlaps with `guilty`. */
  readonly suspects: readonly EncodedResource[];
}

export function blame(error: string, resources: readonly EncodedResource[]): Blame {
  if (resources.length === 1) return { guilty: resources, suspects: [] };
  const text = error.slice(0, MAX_SEARCHED_LENGTH);
  const named = resources
    .flatMap((resource) => {
      const at = positionOf(resource.name, text);
      return at < 0 ? [] : [{ resource, at, reason: text.startsWith(': ', at + resource.name.length) }];
    })
    .sort((a, b) => a.at - b.at);
  const guilty = named.length === 1 ? named : named.filter(({ reason }) => reason);
  if (guilty.length > 0) return { guilty: guilty.map(({ resource }) => resource), suspects: [] };
  return { guilty: [], suspects: named.length > 0 ? named.map(({ resource }) => resource) : resources };
}

/** `orders.default` is not named by a text that says `orders.default:grpc` or `old-orders.default`. */
function positionOf(name: string, text: string): number {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const after = text.slice(at + name.length, at + name.length + 2);
    if (!/[\w.@/-]/.test(text.charAt(at - 1)) && !/^([\w@/-]|[.:]\w)/.test(after)) return at;
  }
  return -1;
}
