// Puts every discovery service of the table on a gRPC server. The state machine behind them is one; a service
// of one type only adds that its messages need not name the type, and must not name another.
import type { Server, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Call } from '../connection.ts';
import type { Connections } from '../connections.ts';
import type { CallerOf } from '../security/caller.ts';
import { deltaProtocol, sotwProtocol } from '../stream/protocol.ts';
import { bidirectional } from './bytes.ts';
import { DISCOVERY_SERVICES } from './paths.ts';

export function addDiscovery(server: Server, connections: Connections, callerOf: CallerOf): void {
  for (const { service, sotw, delta, only } of DISCOVERY_SERVICES) {
    const handlers: UntypedServiceImplementation = {};
    if (sotw !== undefined)
      handlers[sotw] = (call: Call) => connections.open(sotwProtocol, call, only, callerOf(call));
    if (delta !== undefined)
      handlers[delta] = (call: Call) => connections.open(deltaProtocol, call, only, callerOf(call));
    const methods = Object.keys(handlers).map((method) => [method, bidirectional(service, method)] as const);
    server.addService(Object.fromEntries(methods), handlers);
  }
}
