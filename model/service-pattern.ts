// Names of services with `*` in them, as files about rights write them: join tokens, identities.

/** `*` stands for any text without a dot: `orders.*` is orders in every namespace. */
export function matchesService(pattern: string, service: string): boolean {
  const escaped = pattern.toLowerCase().replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '[^.]*')}$`).test(service);
}
