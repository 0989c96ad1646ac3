// One try at a ZooKeeper path: everything below it is read once and told as one `sync`, then changes are
// told as they are read. Any fault ends the try, and the supervisor starts the next one with a new session.
import { setImmediate as breathe } from 'node:timers/promises';
import type { ZookeeperSource } from '../../config/schema.ts';
import { aborted } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { DiscoveryUpdate } from '../../model/discovery.ts';
import type { EndpointGroup } from '../../model/endpoint.ts';
import { bad } from '../instance.ts';
import { Instances } from '../instances.ts';
import type { InstancesOptions } from '../instances.ts';
import type { Warner } from '../warn-once.ts';
import type { ZookeeperClient } from './client.ts';
import { ZOOKEEPER_LAYOUT, ZOOKEEPER_PATH } from './errors.ts';
import type { Layout } from './layouts.ts';
import { Tree } from './tree.ts';

export interface ZookeeperContext {
  readonly config: ZookeeperSource;
  /** Absolute path with the chroot, without a slash at its end. */
  readonly root: string;
  readonly layout: Layout;
  readonly instances: InstancesOptions;
  readonly atOnce: number;
  readonly clock: Clock;
  /** The number of nodes that cannot be used. */
  onBad(count: number): void;
  readonly warn: Warner;
  /** What the last good list and the changes since say; kept from try to try. */
  known: Instances | undefined;
}

/** Services turned into groups between two looks at the event loop. */
const GROUPS_AT_ONCE = 100;

export async function watchZookeeper(
  context: ZookeeperContext,
  client: ZookeeperClient,
  emit: (update: DiscoveryUpdate) => void,
  signal: AbortSignal,
): Promise<void> {
  const view = new View(context, emit);
  let tree: Tree | undefined;
  try {
    const fault = new Promise<never>((_, reject) => {
      tree = new Tree({
        ...context,
        client,
        role: (segments) => context.layout.role(segments),
        named: context.layout.named,
        onFolder: (segments, there) => view.folder(segments, there),
        onInstance: (segments, path, text) => view.instance(segments, path, text),
        onSettled: () => void view.settled(tree?.instances ?? 0, signal).catch(reject),
        onFault: reject,
        onNoRoot: () => noRoot(context, client),
      });
      tree.start();
    });
    await Promise.race([fault, client.over, aborted(signal)]);
  } finally {
    tree?.stop();
  }
}

/** Says what there is instead. */
async function noRoot({ root }: ZookeeperContext, client: ZookeeperClient): Promise<Error> {
  const segments = root.split('/').slice(0, -1);
  for (; segments.length > 0; segments.pop()) {
    const parent = segments.join('/') || '/';
    const names = await client.children(parent);
    if (!names) continue;
    const some = names.sort().slice(0, 8).join(', ');
    return ZOOKEEPER_PATH(client.server, root, parent, names.length > 8 ? `${some}, …` : some || 'nothing');
  }
  return ZOOKEEPER_PATH(client.server, root, '/', 'nothing');
}

/** What the nodes of this try say, and what of it was told. */
class View {
  readonly #context: ZookeeperContext;
  readonly #emit: (update: DiscoveryUpdate) => void;
  readonly #instances: Instances;
  readonly #changed = new Set<string>();
  #folders = 0;
  #told = false;
  #telling = false;

  constructor(context: ZookeeperContext, emit: (update: DiscoveryUpdate) => void) {
    this.#context = context;
    this.#emit = emit;
    this.#instances = new Instances(context.instances, context.known);
  }

  folder(segments: readonly string[], there: boolean): void {
    const { layout } = this.#context;
    this.#folders += there ? 1 : -1;
    const service = layout.service(segments);
    if (!service) return;
    if (!there) this.#note(this.#instances.removeService(service));
    else if (layout.emptyServices) this.#note(this.#instances.addService(service));
  }

  instance(segments: readonly string[], path: string, text: string | undefined): void {
    const { layout, root, warn, instances } = this.#context;
    const service = layout.service(segments.slice(0, -1));
    if (!service || !this.#instances.includes(service)) return;
    if (text === undefined) {
      warn.forget(path);
      this.#note(this.#instances.delete(path, service, true));
      return;
    }
    const reading = layout.read(text, instances);
    if (reading.type === 'bad') {
      const facts = { path, why: reading.why, expected: `${root}${layout.expected}` };
      warn.once(path, 'a node cannot be used, its last good data is kept', facts);
      this.#note(this.#instances.put(path, service, bad(reading.why)));
    } else {
      warn.forget(path);
      this.#note(this.#instances.put(path, service, reading));
    }
  }

  /**
   * Tells what has changed; the first time, everything. @throws ISTHMUS_ZOOKEEPER_LAYOUT
   * @param nodes instances that there are, used or not.
   */
  async settled(nodes: number, signal: AbortSignal): Promise<void> {
    if (this.#telling) return;
    if (this.#told) {
      this.#tellChanges();
      return;
    }
    this.#telling = true;
    this.#checkLayout(nodes);
    // What changes while the groups are made is told right after them.
    this.#changed.clear();
    const groups: EndpointGroup[] = [];
    for (const [index, service] of this.#instances.services.entries()) {
      if (index % GROUPS_AT_ONCE === GROUPS_AT_ONCE - 1) await breathe();
      const group = this.#instances.group(service);
      if (group) groups.push(group);
    }
    if (signal.aborted) return;
    this.#context.known = this.#instances;
    this.#instances.settled();
    this.#context.onBad(this.#instances.bad.size);
    this.#emit({ type: 'sync', groups });
    this.#told = true;
    this.#telling = false;
    this.#tellChanges();
  }

  #tellChanges(): void {
    this.#context.onBad(this.#instances.bad.size);
    for (const service of this.#changed) {
      const group = this.#instances.group(service);
      this.#emit(group ? { type: 'group', group } : { type: 'gone', service });
    }
    this.#changed.clear();
  }

  #note(service: string | undefined): void {
    if (service !== undefined) this.#changed.add(service);
  }

  #checkLayout(nodes: number): void {
    const { config, root, layout, warn } = this.#context;
    const expected = `${root}${layout.expected}`;
    const path = root === '' ? '/' : root;
    const [first] = this.#instances.bad;
    if (first && this.#instances.hopeless) {
      throw ZOOKEEPER_LAYOUT(config.layout, path, `${first[0]}: ${first[1]}`, expected);
    }
    const nothing = this.#folders > 0 && nodes === 0 && this.#instances.services.length === 0;
    if (nothing) warn.once('nothing', 'there are nodes under the path, but no instance', { path, expected });
    else warn.forget('nothing');
  }
}
