// The demo's story: a service moves from virtual machines to pods, and what goes wrong on the way. Each scene does
// something to the world, waits until it was noticed, and shows what was measured. Nothing here knows how it ends.
import type { MigrationJson } from '../../admin/types-migration.ts';
import type { Teller } from './teller.ts';
import { statsOf } from './planes.ts';

export interface Pace {
  /** Before anything happens. */
  readonly firstRequests: number;
  /** How long the gates must hold in each step, such as `6s`. */
  readonly step: string;
  readonly minRequests: number;
  /** How long nobody may have called the old side. */
  readonly quiet: string;
}

/** @throws ISTHMUS_DEMO_STUCK when something does not come about; the signal's reason when that comes first. */
export async function tellStory(teller: Teller, pace: Pace): Promise<void> {
  await before(teller, pace);
  await copies(teller, pace);
  await badRelease(teller);
  await mended(teller);
  await darkRegistry(teller);
  await reusedAddress(teller);
  await theRest(teller);
  await retirement(teller, pace);
}

async function before(teller: Teller, { firstRequests }: Pace): Promise<void> {
  teller.scene('Two virtual machines serve orders. Three pods could, and get nothing yet.');
  await teller.requests(firstRequests);
  await teller.run(['get', 'endpoints', 'orders']);
  await teller.pause();
}

async function copies(teller: Teller, { step, minRequests }: Pace): Promise<void> {
  teller.scene(
    'Is orders ready to move? Then the pods get copies of requests first, whose answers nobody sees.',
  );
  await teller.run(['migrate', 'plan', 'orders', '--from', 'vms', '--to', 'pods']);
  const gates = ['--min-success', '95', '--min-requests', String(minRequests)];
  const steps = ['--mirror', '20', '--steps', '10,50,100', '--for', step];
  await teller.run(['migrate', 'start', 'orders', '--from', 'vms', '--to', 'pods', ...steps, ...gates]);
  line(teller, await teller.migration('the copies', ({ phase }) => phase === 'mirroring'));
  await teller.pause();
}

async function badRelease(teller: Teller): Promise<void> {
  const { world } = teller;
  teller.scene(
    '10 % of the traffic goes to the pods. Now a bad release: every fourth of their answers is a 500.',
  );
  const stepped = await teller.migration(
    'the first step',
    ({ phase, step }) => phase === 'stepping' && step === 1,
  );
  line(teller, stepped);
  const [requests, retried] = [world.tally.requests, await retries(teller)];
  world.breakPods(4);
  await teller.migration('the rollback', ({ phase }) => phase === 'rolledBack');
  // So that its status has something to tell of the time after.
  await teller.requests(200);
  const again = (await retries(teller)) - retried;
  await teller.run(['migrate', 'status', 'orders']);
  const since = world.tally.requests - requests;
  teller.tell(
    `callers meanwhile: ${since} requests, ${world.tally.failed} failed; ${again} were tried again on another instance`,
  );
  await teller.pause();
}

async function mended(teller: Teller): Promise<void> {
  teller.scene('The release is mended. It begins again: copies, 10 %, 50 %.');
  teller.world.breakPods(0);
  await teller.run(['migrate', 'resume', 'orders', '--reason', 'mended in 1.4.2']);
  await teller.migration('the first step', ({ phase, step }) => phase === 'stepping' && step === 1);
  const tell = measuring(teller, 10);
  const at50 = await teller.migration(
    'the second step',
    ({ phase, step }) => phase === 'stepping' && step === 2,
  );
  tell();
  line(teller, at50);
  await teller.pause();
}

async function darkRegistry(teller: Teller): Promise<void> {
  teller.scene('The registry of the virtual machines goes dark.');
  await teller.world.files.hideVms();
  await teller.until('the dark registry', async () =>
    (await teller.source('vms')) === 'stale' ? true : undefined,
  );
  await teller.run(['get', 'sources']);
  const dark = 'source vms: stale';
  const now = await teller.migration('it to wait', ({ waitsFor }) => waitsFor === dark);
  line(teller, now);
  teller.tell(`it waits for: ${now.waitsFor}`);
  const tell = measuring(teller, 50);
  await teller.requests(300);
  tell();
  await teller.pause();
}

async function reusedAddress(teller: Teller): Promise<void> {
  teller.scene('In the dark, vm-2 is switched off, and its address is given to an instance of payments.');
  const fresh = await teller.world.reuseVm2();
  const at = `127.0.0.1:${fresh.port}`;
  const { status, name } = await teller.until('an answer from that address', () =>
    ping(at, 'orders.default').catch(() => undefined),
  );
  teller.tell(`GET http://${at}/ with x-isthmus-service: orders.default → ${status}, answered as ${name}`);
  await teller.until('the address to be refuted', async () => {
    const listed = await teller.endpoint(fresh.port, 'orders');
    const registered = await teller.endpoint(fresh.port, 'payments');
    return listed?.state === 'quarantined' && registered ? true : undefined;
  });
  await teller.run(['explain', 'orders', at]);
  await teller.requests(100);
  const refused = (await statsOf(fresh.adminPort)).get('http.inbound.downstream_rq_4xx') ?? 0;
  teller.tell(`requests and pings for orders that its sidecar has refused: ${refused}`);
  await teller.pause();
}

async function theRest(teller: Teller): Promise<void> {
  teller.scene('The registry is back, and knows of one virtual machine only. The move goes on by itself.');
  await teller.world.registryBack();
  line(teller, await teller.migration('its end', ({ phase }) => phase === 'completed'));
  await teller.pause();
}

async function retirement(teller: Teller, { quiet }: Pace): Promise<void> {
  teller.scene('May the virtual machines be switched off? Not while somebody calls them by name.');
  await teller.until('batch to be the only caller of the old side', async () => {
    const { callers } = await teller.retirement(quiet);
    return callers.length === 1 && callers[0]?.node === teller.world.batch.node ? true : undefined;
  });
  await teller.run(['migrate', 'retire', 'orders', '--after', quiet], 1);
  teller.world.batchCalls('orders');
  teller.tell('batch calls orders from now on, wherever that is');
  await teller.until('nobody to call the old side', async () =>
    (await teller.retirement(quiet)).safe ? true : undefined,
  );
  await teller.run(['migrate', 'retire', 'orders', '--after', quiet, '--confirm']);
  await teller.pause();
}

function line(teller: Teller, { phase, step, steps, reason }: MigrationJson): void {
  teller.tell(`${phase} ${step}/${steps.length}: ${reason}`);
}

/** From now on until what it gives is called: how many of web's requests to orders the pods answered. */
function measuring(teller: Teller, percent: number): () => void {
  const count = () => {
    const own = [...teller.world.webTally.answers.values()].filter(({ service }) => service === 'orders');
    const sum = (rows: typeof own) => rows.reduce((total, row) => total + row.count, 0);
    return { all: sum(own), pods: sum(own.filter(({ source }) => source === 'pods')) };
  };
  const before = count();
  return () => {
    const after = count();
    const [all, pods] = [after.all - before.all, after.pods - before.pods];
    teller.tell(
      `at ${percent} %: the pods answered ${pods} of ${all} requests, ${((100 * pods) / Math.max(1, all)).toFixed(1)} %`,
    );
  };
}

/** Requests to orders that the callers' data planes tried again. */
async function retries({ world }: Teller): Promise<number> {
  const stats = await statsOf(world.web.adminPort);
  return stats.get('cluster.orders.default.upstream_rq_retry') ?? 0;
}

async function ping(
  at: string,
  service: string,
): Promise<{ readonly status: number; readonly name: string }> {
  const response = await fetch(`http://${at}/`, {
    headers: { 'x-isthmus-service': service },
    signal: AbortSignal.timeout(10_000),
  });
  await response.arrayBuffer();
  return {
    status: response.status,
    name: response.headers.get('x-envoy-upstream-healthchecked-cluster') ?? '',
  };
}
