// A provider of Dubbo's interface-level registry: the name of its node is its URL. Pure.
// Parameters: Apache Dubbo's documentation, "Service URL" and CommonConstants.
import { bad, NOTHING, readInstance } from '../instance.ts';
import type { InstanceOptions, Reading } from '../instance.ts';
import { weightOf } from '../metadata.ts';

/** What Dubbo takes for a provider that says no weight. */
const DEFAULT_WEIGHT = 100;

/** Plumbing between Dubbo's own peers, or different at each start: no use as labels. */
const NOT_LABELS = new Set(
  (
    'anyhost background bean.name bind.ip bind.port category check default deprecated disabled dubbo dynamic ' +
    'enabled executor-management-mode file-cache generic interface ipv6 metadata-type methods path pid ' +
    'prefer.serialization qos.enable qos.port register release retries revision service-name-mapping side ' +
    'threads timeout timestamp warmup weight'
  ).split(' '),
);

const PROTOCOLS: Readonly<Record<string, string>> = {
  tri: 'grpc',
  grpc: 'grpc',
  rest: 'http',
  http: 'http',
  https: 'https',
};

export function readDubbo(name: string, options: InstanceOptions): Reading {
  const url = parseUrl(name);
  if (!url) return bad('the name of the node is no URL');
  const scheme = url.protocol.slice(0, -1);
  if (scheme === 'empty') return NOTHING;
  const params = Object.fromEntries(url.searchParams);
  const out = params['disabled'] === 'true' || params['enabled'] === 'false';
  const labels = Object.entries(params).filter(([key, value]) => !NOT_LABELS.has(key) && value !== '');
  return readInstance(
    {
      host: url.hostname,
      ports: [{ name: scheme, port: Number(url.port), protocol: PROTOCOLS[scheme] ?? 'tcp' }],
      health: out ? 'draining' : 'unknown',
      weight: weightOf(params['weight']) ?? DEFAULT_WEIGHT,
      labels: Object.fromEntries(labels),
      zone: params['zone'],
      region: params['region'],
    },
    options,
  );
}

function parseUrl(name: string): URL | undefined {
  try {
    return new URL(decodeURIComponent(name));
  } catch {
    return undefined;
  }
}
