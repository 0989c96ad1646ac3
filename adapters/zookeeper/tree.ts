// Follows the nodes below a path: reads lists of children and data, watches both, and reads again what was
// said to have changed. ZooKeeper's watches fire once, so each read arms the next one; a change between two
// reads is never lost. Bounded: so many reads at a time. Does not know what the data means.
import { coalesce } from '../../lib/coalesce.ts';
import type { Clock } from '../../lib/clock.ts';
import { toError } from '../../lib/errors.ts';
import type { NodeRole } from './layouts.ts';
import type { OnChange } from './watches.ts';

export interface TreeOptions {
  readonly client: {
    children(path: string, onChange: OnChange): Promise<string[] | undefined>;
    data(path: string, onChange: OnChange): Promise<string | undefined>;
  };
  /** Absolute path of the root, '' for the root of all. */
  readonly root: string;
  role(segments: readonly string[]): NodeRole;
  /** Instances say all by their names: their data is not read. */
  readonly named: boolean;
  /** Reads at a time. */
  readonly atOnce: number;
  readonly clock: Clock;
  /** `folder` is below the root and was read for the first time, or is gone. The root's own is never told. */
  onFolder(segments: readonly string[], there: boolean): void;
  /**
   * @param path from the root of all.
   * @param text the data, or the name when `named`; undefined: the instance is gone.
   */
  onInstance(segments: readonly string[], path: string, text: string | undefined): void;
  /** Nothing is left to be read for now, or not for a while. The first time: everything was read once. */
  onSettled(): void;
  /** Called once; nothing is told after it. */
  onFault(fault: Error): void;
  /** The root does not exist, or no longer. */
  onNoRoot(): Promise<Error>;
}

/** Without its path in parts, which would be as large as all the rest: instances are many. */
interface Node {
  readonly role: NodeRole;
  /** Of a folder. */
  readonly children: Set<string>;
  /** A folder is told after its list was read. */
  told: boolean;
}

/** Changes within such a time are read together: a list that changes all the time is not read all the time. */
const QUIET_MS = 10;
const MAX_MS = 100;

/** Instances are many: a set of its own for each would be half of what they take. */
const NO_CHILDREN = new Set<string>();

export class Tree {
  readonly #options: TreeOptions;
  readonly #nodes = new Map<string, Node>();
  /** Paths to be read; a path that is being read waits here for its turn. */
  readonly #due = new Set<string>();
  readonly #reading = new Set<string>();
  readonly #changed = new Set<string>();
  readonly #soon: { trigger(): void; cancel(): void };
  #instances = 0;
  #over = false;
  /** When onSettled() was called last. */
  #settledAt: number | undefined;

  constructor(options: TreeOptions) {
    this.#options = options;
    const { clock } = options;
    this.#soon = coalesce(() => this.#readChanged(), { quietMs: QUIET_MS, maxMs: MAX_MS, clock });
  }

  /** Number of instances, whether their data was read or not. */
  get instances(): number {
    return this.#instances;
  }

  start(): void {
    this.#add(this.#options.root, 'folder');
    this.#pump();
  }

  /** No timer is left, nothing is told any more. */
  stop(): void {
    this.#over = true;
    this.#soon.cancel();
    this.#due.clear();
  }

  #pathOf(segments: readonly string[]): string {
    return this.#options.root + segments.map((segment) => `/${segment}`).join('');
  }

  /** A name has no slash in it. */
  #segmentsOf(path: string): string[] {
    const { root } = this.#options;
    return path === root ? [] : path.slice(root.length + 1).split('/');
  }

  #add(path: string, role: NodeRole): void {
    if (this.#nodes.has(path)) return;
    const children = role === 'folder' ? new Set<string>() : NO_CHILDREN;
    if (role === 'instance') this.#instances += 1;
    this.#nodes.set(path, { role, children, told: false });
    this.#due.add(path);
  }

  /** A watch fired. One function for all of them. */
  readonly #onChange: OnChange = (path) => {
    if (this.#over) return;
    this.#changed.add(path === '/' ? '' : path);
    this.#soon.trigger();
  };

  #readChanged(): void {
    for (const path of this.#changed) if (this.#nodes.has(path)) this.#due.add(path);
    this.#changed.clear();
    this.#pump();
  }

  #pump(): void {
    if (this.#over) return;
    for (const path of this.#due) {
      if (this.#reading.size >= this.#options.atOnce) break;
      if (this.#reading.has(path)) continue;
      this.#due.delete(path);
      this.#start(path);
    }
    const now = this.#options.clock.monotonic();
    const settled = this.#due.size === 0 && this.#reading.size === 0;
    // A registry that changes without a pause must not keep its changes from being told.
    if (!settled && now - (this.#settledAt ?? now) < MAX_MS) return;
    this.#settledAt = now;
    this.#options.onSettled();
  }

  #start(path: string): void {
    const node = this.#nodes.get(path);
    if (!node) return;
    this.#reading.add(path);
    const read = node.role === 'folder' ? this.#readFolder(path, node) : this.#readInstance(path, node);
    read.then(
      () => {
        this.#reading.delete(path);
        this.#pump();
      },
      (thrown: unknown) => {
        if (this.#over) return;
        this.stop();
        this.#options.onFault(toError(thrown));
      },
    );
  }

  async #readFolder(path: string, node: Node): Promise<void> {
    const { client, root } = this.#options;
    const names = await client.children(path === '' ? '/' : path, this.#onChange);
    if (this.#over || this.#nodes.get(path) !== node) return;
    if (names === undefined) {
      if (path === root) throw await this.#options.onNoRoot();
      this.#remove(path);
      return;
    }
    const folder = this.#segmentsOf(path);
    if (!node.told && path !== root) this.#options.onFolder(folder, true);
    node.told = true;
    const listed = new Set(names);
    for (const name of node.children) if (!listed.has(name)) this.#removeChild(node, [...folder, name]);
    for (const name of names) {
      const segments = [...folder, name];
      const childRole = this.#options.role(segments);
      if (node.children.has(name) || childRole === 'ignored') continue;
      node.children.add(name);
      if (childRole === 'instance' && this.#options.named) {
        this.#instances += 1;
        this.#options.onInstance(segments, this.#pathOf(segments), name);
      } else this.#add(this.#pathOf(segments), childRole);
    }
  }

  async #readInstance(path: string, node: Node): Promise<void> {
    const text = await this.#options.client.data(path, this.#onChange);
    if (this.#over || this.#nodes.get(path) !== node) return;
    if (text === undefined) this.#remove(path);
    else this.#options.onInstance(this.#segmentsOf(path), path, text);
  }

  /** The parent's list will say so, too; whichever comes first. */
  #remove(path: string): void {
    const parent = this.#nodes.get(path.slice(0, path.lastIndexOf('/')));
    if (parent) this.#removeChild(parent, this.#segmentsOf(path));
  }

  #removeChild(parent: Node, segments: readonly string[]): void {
    parent.children.delete(segments.at(-1) ?? '');
    const path = this.#pathOf(segments);
    const node = this.#nodes.get(path);
    this.#due.delete(path);
    this.#nodes.delete(path);
    if (!node || node.role === 'instance') {
      this.#instances -= 1;
      this.#options.onInstance(segments, path, undefined);
      return;
    }
    for (const child of node.children) this.#removeChild(node, [...segments, child]);
    if (node.told) this.#options.onFolder(segments, false);
  }
}
