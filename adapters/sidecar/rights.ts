// Who may register what, and where. A connection proves an address, a certificate or a token proves a name; nothing
// else does.
// Pure, but for the file of tokens.
import { timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { parse } from 'yaml';
import { parseCidr } from '../../lib/cidr.ts';
import { defineError, describeError } from '../../lib/errors.ts';
import { matchesService } from '../../model/service-pattern.ts';
import type { SidecarSession } from '../../model/sidecars.ts';
import { LOOPBACK, NEVER, isIn, plainBytes, rangesOf } from '../ranges.ts';

export const TOKENS_UNREADABLE = defineError(
  'ISTHMUS_SIDECAR_TOKENS',
  (file: string, why: string) => `${file}: ${why}`,
  {
    hint: 'A list such as `- { token: SECRET, services: ["orders.*"], cidrs: [10.0.0.0/8] }`; see docs/sources/sidecar.md.',
  },
);

const schema = z.array(
  z.strictObject({
    token: z.string().min(16, 'at least 16 characters'),
    /** Canonical names; `*` stands for any part. */
    services: z.array(z.string().min(1)).min(1),
    /** Addresses that may be claimed beside the connection's own. */
    cidrs: z
      .array(z.string().refine((text) => 'cidr' in parseCidr(text), 'a range such as 10.0.0.0/8'))
      .default([]),
  }),
);

export type JoinToken = z.infer<typeof schema>[number];

/** @throws ISTHMUS_SIDECAR_TOKENS; it never shows a token. */
export async function readTokens(file: string): Promise<readonly JoinToken[]> {
  let data: unknown;
  try {
    data = parse(await readFile(file, 'utf8'));
  } catch (thrown) {
    throw TOKENS_UNREADABLE.from(thrown, file, describeError(thrown));
  }
  const parsed = schema.safeParse(data ?? []);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw TOKENS_UNREADABLE(file, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`);
}

/** The address to register, or why not. */
export type Admission = { readonly address: string } | { readonly refused: string };

export function admit(session: SidecarSession, tokens: readonly JoinToken[]): Admission {
  const { peer, registration, token } = session;
  const address = registration.address || peer;
  const bytes = plainBytes(address);
  if (!bytes) return { refused: `"${address}" is no IP address` };
  if (isIn(NEVER, bytes)) return { refused: `${address} is not an address that others can call` };
  const own = address === peer;
  const isLocal = isIn(LOOPBACK, plainBytes(peer) ?? []);
  if (isLocal && own) return { address };
  // Whose certificate says that it is this service needs no token for where it stands.
  if (session.proven === true && own) return { address };
  if (isIn(LOOPBACK, bytes)) return { refused: `${address} is the control plane's own machine, not ${peer}` };
  const granted = tokens.find((known) => isEqual(known.token, token));
  if (!granted && isLocal)
    return { refused: `${address} is not this machine's loopback: a join token is needed` };
  if (!granted) return { refused: token === '' ? 'no join token' : 'a join token that is not known' };
  if (!granted.services.some((pattern) => matchesService(pattern, registration.service))) {
    return { refused: `its join token is not for ${registration.service}` };
  }
  if (own || isIn(rangesOf(granted.cidrs), bytes)) return { address };
  return { refused: `its join token is not for the address ${address}` };
}

function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
