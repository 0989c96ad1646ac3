// What name servers say of one entry of the config: a list of targets, empty when the name does not exist or
// has no such record; all else that goes wrong is an error. Does not loop, remembers nothing.
import type { DnsName } from '../../config/schema.ts';
import { createNameServer } from '../name-server.ts';

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
  const server = createNameServer(servers, answerMs);

  async function service(name: string): Promise<DnsAnswer> {
    const all = await server.services(name);
    const best = Math.min(...all.map(({ priority }) => priority));
    // A target of "." says that the service is decidedly not offered (RFC 2782).
    const records = all.filter((record) => record.priority === best && record.name !== '');
    const found = await Promise.all(
      records.map(async ({ name: host, port, weight }) => {
        const list = await server.addresses(host);
        return list.map(({ address }) => ({ address, port, weight: Math.max(1, weight), host }));
      }),
    );
    return { targets: found.flat(), ttl: undefined };
  }

  return {
    async resolve(entry) {
      if (entry.srv !== undefined) return service(entry.srv);
      const { name, port } = entry;
      const list = await server.addresses(name);
      const ttl = list.length === 0 ? undefined : Math.min(...list.map((record) => record.ttl));
      return { targets: list.map(({ address }) => ({ address, port, weight: 1, host: '' })), ttl };
    },
    close: () => server.close(),
  };
}
