// A control plane in a process of its own, started from a config that the test gives.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fetch } from 'undici';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { startIsthmus } from './isthmus.ts';
import type { IsthmusProcess, ProcessOptions } from './isthmus.ts';

export interface ControlPlaneProcess {
  readonly xdsPort: number;
  readonly adminUrl: string;
  log(): string;
  /** Its process of the moment. */
  readonly pid: number;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGKILL, then the same again on the same ports; resolves when it is ready. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @param folder where isthmus.yaml is written; the test removes it. @param more fields of the config beside the
 * sources and addresses. @param xds more fields of `xds`. Resolves when it is ready.
 */
export async function startControlPlane(
  folder: string,
  sources: readonly object[],
  more: object = {},
  xds: object = {},
  options: ProcessOptions = {},
): Promise<ControlPlaneProcess> {
  const [xdsPort, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'isthmus.yaml');
  const settings = {
    ...more,
    sources,
    xds: { ...xds, plaintext: `127.0.0.1:${xdsPort}` },
    admin: { listen: `127.0.0.1:${adminPort}` },
  };
  // JSON is YAML.
  await writeFile(config, JSON.stringify(settings, null, 2));
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  let running = await startOne(config, adminUrl, options);
  return {
    xdsPort,
    adminUrl,
    log: () => running.log(),
    get pid() {
      return running.pid;
    },
    async kill() {
      await running.end('SIGKILL');
    },
    async restart() {
      await running.end('SIGKILL');
      running = await startOne(config, adminUrl, options);
    },
    async stop() {
      await running.end('SIGTERM');
    },
  };
}

async function startOne(config: string, adminUrl: string, options: ProcessOptions): Promise<IsthmusProcess> {
  const control = startIsthmus(['serve', '-c', config], options);
  try {
    const state = await eventually(
      async () => {
        if (control.exitCode() !== undefined) return 'ended' as const;
        return (await fetch(`${adminUrl}/readyz`)).status === 200 && ('ready' as const);
      },
      { withinMs: 60_000, what: 'the control plane to be ready' },
    );
    if (state === 'ended') throw new Error(`it ended with code ${control.exitCode() ?? 'signal'}`);
  } catch (thrown) {
    await control.end('SIGKILL');
    throw new Error(`the control plane did not come up\n${control.log()}`, { cause: thrown });
  }
  return control;
}
