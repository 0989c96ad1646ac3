// What the gRPC library writes by itself goes into our log, at level debug: its faults reach us as errors, which are
// told in our words. With GRPC_VERBOSITY or GRPC_TRACE set it writes to standard error, as its users know it.
import { format } from 'node:util';
import { setLogger } from '@grpc/grpc-js';
import type { Logger } from '../telemetry/logger.ts';

export function takeGrpcLog(log: Logger, env: Readonly<Record<string, string | undefined>>): void {
  if (env.GRPC_VERBOSITY !== undefined || env.GRPC_TRACE !== undefined) return;
  const tell = (...args: readonly unknown[]) => log.debug({ said: format(...args) }, 'gRPC');
  setLogger({ error: tell, info: tell, debug: tell });
}
