// Addresses as users write them in configs and flags. Pure; nothing is resolved.

export function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return (url.protocol === 'http:' || url.protocol === 'https:') && url.port !== '0';
}

export function isNatsServer(text: string): boolean {
  const address = parseListenAddress(text.replace(/^(nats|tls):\/\//, '').replace(/^[^@]*@/, ''));
  return address !== undefined && address.host !== '' && address.port !== 0;
}

export function isEtcdEndpoint(text: string): boolean {
  const address = parseListenAddress(text.replace(/^https?:\/\//, '').replace(/\/$/, ''));
  return address !== undefined && address.host !== '' && address.port !== 0;
}

/** undefined when it is not HOST:PORT with a port of 0…65535. An empty host means every address. */
export function parseListenAddress(
  text: string,
): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  return { host: match[1] ?? match[2] ?? '', port };
}
