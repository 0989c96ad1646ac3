// A hand on the tests' name server: SRV records, each with a target named for its address. The mark is the
// weight. It is asked over UDP, as anybody would ask it.
import { Resolver } from 'node:dns/promises';
import type { DnsServer } from '../dns-server.ts';
import { DEFAULT_MARK } from './hand.ts';
import type { Hand } from './hand.ts';

export const srvNameOf = (service: string): string => `_http._tcp.${service}.internal`;

/** @param services those that are asked for. */
export function dnsHand(dns: DnsServer, address: string, services: readonly string[]): Hand {
  return {
    async set(service, instances) {
      const records = instances.map(({ address: ip, port, mark = DEFAULT_MARK }) => {
        const target = `h${ip.replaceAll('.', '-')}.internal`;
        dns.zone.set(target, [{ type: 'A', address: ip }]);
        return { type: 'SRV' as const, port, target, weight: Number(mark) };
      });
      dns.zone.set(srvNameOf(service), records);
    },
    async ask() {
      const resolver = new Resolver({ timeout: 1_000, tries: 2 });
      resolver.setServers([address]);
      const ask = async (service: string) => {
        const records = await resolver.resolveSrv(srvNameOf(service)).catch(noRecords);
        const instances = records.map(({ name, port, weight }) => ({
          address: name.slice(1).replace('.internal', '').replaceAll('-', '.'),
          port,
          mark: String(weight),
        }));
        return [service, instances] as const;
      };
      return new Map(await Promise.all(services.map(ask)));
    },
    close: async () => undefined,
  };
}

function noRecords(thrown: unknown): never[] {
  const { code } = thrown as { code?: string };
  if (code === 'ENODATA' || code === 'ENOTFOUND') return [];
  throw thrown;
}
