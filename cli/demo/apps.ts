// The demo's services: small HTTP servers that really listen and say who they are. Some stand for virtual
// machines, some for pods; the only difference is which source lists them.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Side = 'vms' | 'pods';

export interface App {
  readonly service: string;
  readonly instance: string;
  /** The source that lists it. */
  readonly side: Side;
  readonly port: number;
}

export interface Apps {
  readonly list: readonly App[];
  close(): Promise<void>;
}

/** What every instance answers, on every path. */
export interface Answer {
  readonly service: string;
  readonly instance: string;
  readonly source: Side;
  /** Requests this instance has answered, this one included. */
  readonly served: number;
}

const PLAN: readonly Omit<App, 'port'>[] = [
  { service: 'orders', instance: 'vm-1', side: 'vms' },
  { service: 'orders', instance: 'vm-2', side: 'vms' },
  { service: 'orders', instance: 'pod-a', side: 'pods' },
  { service: 'orders', instance: 'pod-b', side: 'pods' },
  { service: 'orders', instance: 'pod-c', side: 'pods' },
  { service: 'payments', instance: 'vm-3', side: 'vms' },
  { service: 'payments', instance: 'pod-d', side: 'pods' },
];

export async function startApps(): Promise<Apps> {
  const servers: Server[] = [];
  const list = await Promise.all(
    PLAN.map(async (plan) => {
      const server = appServer(plan);
      servers.push(server);
      return { ...plan, port: await listen(server) };
    }),
  );
  return {
    list,
    close: async () => {
      await Promise.all(servers.map(closeServer));
    },
  };
}

function appServer(app: Omit<App, 'port'>): Server {
  let served = 0;
  return createServer((request, response) => {
    // Read to the end: an answer before the body is read would close the connection under the sender.
    request.resume().on('end', () => {
      served += 1;
      const answer: Answer = { service: app.service, instance: app.instance, source: app.side, served };
      response.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`);
    });
  });
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
