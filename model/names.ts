// Names of services and of xDS resources. Stable and readable: a name never depends on a position.

/** Registries without namespaces map to this one, unless the source says otherwise. */
export const DEFAULT_NAMESPACE = 'default';

/** Canonical service name: `name.namespace`, lower case. The namespace is what follows the last dot. */
export function serviceName(name: string, namespace: string = DEFAULT_NAMESPACE): string {
  return `${name}.${namespace}`.toLowerCase();
}

export function splitServiceName(service: string): { readonly name: string; readonly namespace: string } {
  const dot = service.lastIndexOf('.');
  if (dot < 0) return { name: service, namespace: DEFAULT_NAMESPACE };
  return { name: service.slice(0, dot), namespace: service.slice(dot + 1) };
}

/** What one source alone offers of a cluster: `orders.default@consul-dc1`. */
export function pinnedName(cluster: string, source: string): string {
  return `${cluster}@${source}`;
}

/** `orders.default` for the primary port, `orders.default:grpc` for the others. */
export function clusterName(service: string, portName: string, primaryPort: string): string {
  return portName === primaryPort ? service : `${service}:${portName}`;
}

/** The cluster that a caller means by `orders`, `orders.shop`, `orders:grpc` or `orders@consul-dc1`. */
export function clusterOf(text: string): string {
  const end = /[:@]/.exec(text)?.index ?? text.length;
  const name = text.slice(0, end).toLowerCase();
  return `${name.includes('.') ? name : serviceName(name)}${text.slice(end)}`;
}
