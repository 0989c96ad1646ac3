// TLS in front of a server that speaks plain TCP, for registries that do not end TLS themselves in tests.
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';

export interface TlsFront {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * @param dir where makeCertificates() has been.
 * @param options `requireClient`: only with a certificate of that authority. `alpn`: protocols to agree on.
 */
export async function tlsFront(
  dir: string,
  port: number,
  options: { readonly requireClient?: boolean; readonly alpn?: readonly string[] } = {},
): Promise<TlsFront> {
  const { requireClient = false, alpn } = options;
  const [key, cert, ca] = await Promise.all(
    ['server.key', 'server.pem', 'ca.pem'].map((name) => readFile(join(dir, name))),
  );
  const sockets = new Set<TLSSocket>();
  const server = createServer(
    {
      ...{ key, cert, ca },
      requestCert: requireClient,
      rejectUnauthorized: requireClient,
      ...(alpn ? { ALPNProtocols: [...alpn] } : {}),
    },
    (socket) => {
      sockets.add(socket);
      const onward = connect(port, '127.0.0.1');
      socket.on('error', () => onward.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        onward.destroy();
      });
      onward.on('error', () => socket.destroy()).on('close', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
