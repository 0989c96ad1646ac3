// Questions to name servers. An answer is a list of targets; a name that does not exist, or has no such
// record, is an empty one (RFC 2308); all else that goes wrong is an error. Does not loop, remembers nothing.
import { Resolver } from 'node:dns/promises';
import type { DnsName } from '../../config/schema.ts';
import { toError } from '../../lib/errors.ts';
import { DNS_FAILED } from './errors.ts';

export interface DnsTarget {
  /** IPv4 or IPv6. */
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  /** Of an SRV record: the host that the address is of. Else ''. */
  readonly host: string;
}

export interface DnsAnswer {
  readonly targets: readonly DnsTarget[];
  /** Seconds for which it holds; undefined when no record said (SRV, names that do not exist). */
  readonly ttl: number | undefined;
}

export interface DnsClient {
  /** @throws ISTHMUS_DNS_FAILED */
  resolve(entry: DnsName): Promise<DnsAnswer>;
  close(): void;
}

/** @param answerMs for one question over all tries. */
export function createDnsClient(servers: readonly string[], answerMs: number): DnsClient {
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

  async function addresses(name: string): Promise<{ address: string; ttl: number }[]> {
    const [four, six] = await Promise.all([
      ask(name, resolver.resolve4(name, { ttl: true })),
      ask(name, resolver.resolve6(name, { ttl: true })),
    ]);
    return [...four, ...six];
  }

  async function service(name: string): Promise<DnsAnswer> {
    const all = await ask(name, resolver.resolveSrv(name));
    const best = Math.min(...all.map(({ priority }) => priority));
    // A target of "." says that the service is decidedly not offered (RFC 2782).
    const records = all.filter((record) => record.priority === best && record.name !== '');
    const found = await Promise.all(
      records.map(async ({ name: host, port, weight }) => {
        const list = await addresses(host);
        return list.map(({ address }) => ({ address, port, weight: Math.max(1, weight), host }));
      }),
    );
    return { targets: found.flat(), ttl: undefined };
  }

  return {
    async resolve(entry) {
      if (entry.srv !== undefined) return service(entry.srv);
      const { name, port } = entry;
      const list = await addresses(name);
      const ttl = list.length === 0 ? undefined : Math.min(...list.map((record) => record.ttl));
      return { targets: list.map(({ address }) => ({ address, port, weight: 1, host: '' })), ttl };
    },
    close: () => resolver.cancel(),
  };
}
