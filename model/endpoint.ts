// The words of the catalogue: what a source says about a service (design: source, service, endpoint).
// Types and pure functions only; nothing here reads a clock, a socket or a package.

/** What is known of an endpoint's health. `draining`: keeps its connections, gets no new traffic. */
export type Health = 'healthy' | 'unhealthy' | 'draining' | 'degraded' | 'unknown';

/** Where an endpoint runs. Empty strings mean "not said". */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

export type Labels = Readonly<Record<string, string>>;

/** One address and port that offers a service. Identity: source + service + network + address + port. */
export interface Endpoint {
  /**
   * IPv4 or IPv6 address, without brackets. On the way from an adapter to its resolver it may be a host
   * name; `hostname` is the same text then.
   */
  readonly address: string;
  /** The host name that the address is of, lower case, without a dot at its end. */
  readonly hostname?: string | undefined;
  /** 1…65535. */
  readonly port: number;
  /** Name of the service port this endpoint serves; '' is a registry's unnamed (primary) port. */
  readonly portName: string;
  /** Separates overlapping address ranges; '' is the default network. */
  readonly network: string;
  readonly health: Health;
  /** As the registry says it, a whole number ≥ 0; 0 means draining. Default 1. */
  readonly weight: number;
  readonly labels: Labels;
  readonly locality: Locality;
}

export interface ServicePort {
  /** '' for a registry that does not name its port. */
  readonly name: string;
  /** The port callers name (Kubernetes Service port); 0 when the registry has none. */
  readonly port: number;
  /** 'http' | 'http2' | 'grpc' | 'tcp' … as the source says; '' when it does not. */
  readonly protocol: string;
}

/** Everything one source says of one service: the content of a shard. */
export interface EndpointGroup {
  /** Canonical `name.namespace`, lower case (see serviceName()). */
  readonly service: string;
  /** Other names callers use for it, as they would write them in a Host header, without port. Sorted. */
  readonly aliases: readonly string[];
  readonly ports: readonly ServicePort[];
  /** Name of the port that the bare service name means (see choosePrimaryPort()). */
  readonly primaryPort: string;
  /** In the order of compareEndpoints(). Empty: the service is known and has no endpoint. */
  readonly endpoints: readonly Endpoint[];
}

export const NO_LOCALITY: Locality = { region: '', zone: '', subZone: '' };

/** Identity of an endpoint inside its source and service. */
export function endpointKey(e: Pick<Endpoint, 'network' | 'address' | 'port'>): string {
  const host = e.address.includes(':') ? `[${e.address}]` : e.address;
  return e.network === '' ? `${host}:${e.port}` : `${e.network}/${host}:${e.port}`;
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** One order everywhere, so that equal content gives equal bytes. */
export function compareEndpoints(a: Endpoint, b: Endpoint): number {
  return (
    compareText(a.network, b.network) ||
    compareText(a.address, b.address) ||
    a.port - b.port ||
    compareText(a.portName, b.portName)
  );
}

/** True when an endpoint may get new traffic by what its source says: silence never means unhealthy. */
export function isReady(endpoint: Pick<Endpoint, 'health' | 'weight'>): boolean {
  return endpoint.weight > 0 && endpoint.health !== 'unhealthy' && endpoint.health !== 'draining';
}

/**
 * The port that the bare service name means: the annotation or metadata `isthmus.dev/port` when it names
 * a port (by name or number), else an unnamed port, else the port named `http`, else the first.
 */
export function choosePrimaryPort(ports: readonly ServicePort[], wanted = ''): string {
  const byName = (name: string) => ports.find((p) => p.name === name);
  const asked = wanted === '' ? undefined : (byName(wanted) ?? ports.find((p) => String(p.port) === wanted));
  return (asked ?? byName('') ?? byName('http') ?? ports[0])?.name ?? '';
}
