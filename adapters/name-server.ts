// Questions to name servers, for whoever needs addresses. A name that does not exist, or has no such record,
// is an empty answer (RFC 2308); all else that goes wrong is an error. Does not loop, remembers nothing.
import { Resolver } from 'node:dns/promises';
import type { SrvRecord } from 'node:dns';
import { defineError, toError } from '../lib/errors.ts';

export const DNS_FAILED = defineError(
  'ISTHMUS_DNS_FAILED',
  (name: string, servers: string, said: string) => `${servers} cannot answer for ${name}: ${said}`,
  {
    hint: 'Check the name servers of the source (`servers` of kind dns, else `resolvers`) and the network; `dig NAME` asks the same.',
  },
);

export interface AddressRecord {
  readonly address: string;
  /** Seconds. */
  readonly ttl: number;
}

export interface NameServer {
  /** A and AAAA. @throws ISTHMUS_DNS_FAILED */
  addresses(name: string): Promise<AddressRecord[]>;
  /** @throws ISTHMUS_DNS_FAILED */
  services(name: string): Promise<SrvRecord[]>;
  /** Ends all questions; they fail. */
  close(): void;
}

/**
 * @param servers IP or IP:PORT; none: those of the machine.
 * @param answerMs for one question over all tries.
 */
export function createNameServer(servers: readonly string[], answerMs: number): NameServer {
  // c-ares doubles the wait at the second try.
  const resolver = new Resolver({ timeout: Math.ceil(answerMs / 3), tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  const asked = resolver.getServers().join(', ');

  async function ask<R>(name: string, question: Promise<R[]>): Promise<R[]> {
    try {
      return await question;
    } catch (thrown) {
      const error = toError(thrown) as Error & { code?: string };
      if (error.code === 'ENOTFOUND' || error.code === 'ENODATA') return [];
      throw DNS_FAILED(name, asked, error.code ?? error.message);
    }
  }

  return {
    async addresses(name) {
      const [four, six] = await Promise.all([
        ask(name, resolver.resolve4(name, { ttl: true })),
        ask(name, resolver.resolve6(name, { ttl: true })),
      ]);
      return [...four, ...six];
    },
    services: (name) => ask(name, resolver.resolveSrv(name)),
    close: () => resolver.cancel(),
  };
}
