// `isthmus demo`: everything in one process, no other server needed. Two file sources stand for virtual
// machines and for Kubernetes; the services, the control plane, the proxy and the traffic are real.
import { createWriteStream } from 'node:fs';
import { loadConfig } from '../../config/load.ts';
import { aborted, childController } from '../../lib/abort.ts';
import { sleep, systemClock } from '../../lib/clock.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { startApps } from '../demo/apps.ts';
import { writeDemoFiles } from '../demo/files.ts';
import { introduction } from '../demo/introduction.ts';
import { choosePort } from '../demo/ports.ts';
import { countsOf, summary, tallyBlock, tallyLine } from '../demo/tally.ts';
import { emptyTally, runTraffic, waitForAnswer } from '../demo/traffic.ts';
import type { Tally } from '../demo/traffic.ts';
import { endOnFatal } from '../fatal.ts';
import { write } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';
import { stopOnSignals } from '../signals.ts';
import { version } from '../version.ts';
import { startProxy } from '../wire-proxy.ts';
import { startControlPlane } from '../wire.ts';

/** Ctrl-C ends the demo within 2 s, so nothing gets longer than this. */
const DRAIN_MS = 500;
const STOP_MS = 1_900;
const SERVICES = ['orders', 'orders', 'orders', 'payments'];
const EVERY_MS = 20;
const REDRAW_MS = 500;
const LINE_MS = 3_000;

const clock = systemClock;
const pen = paint(wantsColour(process.stdout, process.env));

export async function demo(): Promise<void> {
  const stop = stopOnSignals({ clock, withinMs: STOP_MS });
  const closers: (() => Promise<void> | void)[] = [() => stop.release()];
  try {
    await run(stop.signal, closers);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function run(stop: AbortSignal, closers: (() => Promise<void> | void)[]): Promise<void> {
  const apps = await startApps();
  closers.push(() => apps.close());
  const files = await writeDemoFiles(apps.list);
  closers.push(() => files.remove());
  const logFile = createWriteStream(files.log);
  closers.push(() => new Promise((resolve) => logFile.end(resolve)));
  const log = createLogger('info', logFile);
  endOnFatal(log);

  const [xds, admin, outbound] = [
    await choosePort(15_010),
    await choosePort(15_080),
    await choosePort(15_001),
  ];
  const flags = { 'xds.plaintext': `127.0.0.1:${xds.port}`, 'admin.listen': `127.0.0.1:${admin.port}` };
  const config = await loadConfig(files.config, { flags });
  const plane = await startControlPlane(config, { clock, log, drainMs: DRAIN_MS }, stop);
  closers.push(() => plane.close());

  const adminListen = `127.0.0.1:${(await choosePort(15_000)).port}`;
  const proxy = await startProxy({
    nodeId: 'demo~client',
    service: 'demo-client.default',
    version: version(),
    xdsAddress: `127.0.0.1:${plane.xdsPort}`,
    outbound: `127.0.0.1:${outbound.port}`,
    adminListen,
    locality: { region: '', zone: '', subZone: '' },
    log: log.child({ part: 'proxy' }),
    clock,
    drainMs: DRAIN_MS,
  });
  // Closed before the control plane: it stops in the reverse order of this list.
  closers.push(() => proxy.close());
  write(introduction({ files, xds, admin, outbound }, pen));
  await callAndCount(outbound.port, stop);
}

async function callAndCount(port: number, stop: AbortSignal): Promise<void> {
  await waitForAnswer(port, 'orders', clock, stop).catch((error: unknown) => {
    if (!stop.aborted) throw error;
  });
  const tally = emptyTally();
  const started = clock.monotonic();
  const seconds = () => (clock.monotonic() - started) / 1000;
  const { controller, release } = childController(stop);
  const showing = show(tally, seconds, controller.signal);
  // Requests under way at the end get as long as the proxy's drain, no longer.
  let cancel: () => void = () => undefined;
  const tooLate = aborted(stop).then(
    () =>
      new Promise<void>((resolve) => {
        cancel = clock.after(DRAIN_MS, resolve);
      }),
  );
  await Promise.race([
    runTraffic({ port, services: SERVICES, everyMs: EVERY_MS, clock }, tally, stop),
    tooLate,
  ]);
  cancel();
  controller.abort(new Error('traffic over'));
  release();
  await showing;
  write(`\n${summary(tally, seconds(), pen)}\n`);
}

/** Redraws in place on a terminal; else a plain line each few seconds. */
async function show(tally: Tally, seconds: () => number, signal: AbortSignal): Promise<void> {
  const live = process.stdout.isTTY;
  const history = [countsOf(tally)];
  let drawn = 0;
  while (!signal.aborted) {
    await sleep(live ? REDRAW_MS : LINE_MS, signal, clock).catch(() => undefined);
    if (signal.aborted) return;
    if (!live) {
      write(`${tallyLine(tally, seconds(), pen)}\n`);
      continue;
    }
    const block = tallyBlock(tally, history[0] ?? new Map(), seconds(), pen);
    const up = drawn === 0 ? '' : `\u001b[${drawn}A`;
    write(`${up}${block.map((line) => `\u001b[2K${line}\n`).join('')}\u001b[J`);
    drawn = block.length;
    history.push(countsOf(tally));
    // Shares over the last few seconds: long enough to be steady, short enough to show an edit.
    if (history.length > 8) history.shift();
  }
}
