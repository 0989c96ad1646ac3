// `/debug/syncz` with the field names of Istio's page, for tools that know that one. Versions stand where Istio has
// nonces: who compares sent with acked, as they do, gets the same answer.
import type { FurtherType, ProxyStatus, ProxyType } from '../model/proxies.ts';

/** Those after `extensionconfig` are not Istio's: it has no such fields. */
const NAMES: readonly (readonly [ProxyType | FurtherType, string])[] = [
  ['cds', 'cluster'],
  ['lds', 'listener'],
  ['rds', 'route'],
  ['eds', 'endpoint'],
  ['ecds', 'extensionconfig'],
  ['rtds', 'runtime'],
  ['sds', 'secret'],
  ['srds', 'scoped_route'],
  ['vhds', 'virtual_host'],
];

/** One object per client; what is empty is left out, as there. */
export function syncz(proxies: readonly ProxyStatus[]): readonly Readonly<Record<string, string>>[] {
  return proxies.map(({ node, version, identity = '', types }) => {
    const fields = NAMES.flatMap(([type, name]) => {
      const { version: acked = '', sent = acked } = types[type] ?? {};
      return [
        [`${name}_sent`, sent],
        [`${name}_acked`, acked],
      ];
    });
    const all = [['proxy', node], ['proxy_version', version], ...fields, ['identity', identity]];
    return Object.fromEntries(all.filter(([, text]) => text !== ''));
  });
}
