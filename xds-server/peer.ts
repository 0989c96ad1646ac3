// The address that a call comes from, as gRPC says it.

/** Without its port; an IPv4 address as such, also where it came in by a dual-stack socket. */
export function addressOf(peer: string): string {
  const address = peer.slice(0, peer.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
