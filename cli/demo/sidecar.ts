// An instance of the demo: an app, and the bundled proxy beside it that takes its calls, registers it, and refuses what
// is meant for another service.
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { version } from '../version.ts';
import { startProxy } from '../wire-proxy.ts';
import { HEALTH_PATH, startApp } from './apps.ts';
import type { App, AppName } from './apps.ts';
import { freePort } from './ports.ts';

export interface Instance extends AppName {
  /** Where others call it, on 127.0.0.1. */
  readonly port: number;
  /** Of its sidecar. */
  readonly adminPort: number;
  readonly app: App;
  /** The sidecar first, which says goodbye and lets requests finish. */
  close(): Promise<void>;
}

export interface InstanceOptions extends AppName {
  readonly port: number;
  readonly xdsPort: number;
  readonly drainMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export async function startInstance(options: InstanceOptions): Promise<Instance> {
  const { service, instance, side, port, xdsPort, drainMs, clock, log } = options;
  const app = await startApp({ service, instance, side });
  try {
    const sidecar = await startProxy({
      nodeId: instance,
      service: `${service}.default`,
      version: version(),
      xdsAddress: `127.0.0.1:${xdsPort}`,
      // Its app calls nobody, but the usual port is the callers'.
      outbound: `127.0.0.1:${await freePort()}`,
      inbound: `127.0.0.1:${port}`,
      appPort: app.port,
      register: { healthPath: HEALTH_PATH, labels: { instance } },
      calls: [],
      adminListen: '127.0.0.1:0',
      locality: { region: '', zone: '', subZone: '' },
      log: log.child({ part: 'sidecar', node: instance }),
      clock,
      drainMs,
    });
    const close = async () => {
      await sidecar.close();
      await app.close();
    };
    return { service, instance, side, port, adminPort: sidecar.adminPort, app, close };
  } catch (thrown) {
    await app.close();
    throw thrown;
  }
}
