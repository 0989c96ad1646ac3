// The layouts of a ZooKeeper path: which nodes are folders and which are instances, which service they
// belong to, what an instance says. Pure.
import type { ZookeeperSource } from '../../config/schema.ts';
import { serviceFromPath } from '../instance.ts';
import type { InstanceOptions, Reading, ServiceKey } from '../instance.ts';
import { JSON_EXPECTED, readJsonInstance } from '../json-instance.ts';
import { readCurator } from './curator.ts';
import { readDubbo } from './dubbo.ts';
import { readNerve, readServerset } from './smartstack.ts';

export type NodeRole = 'folder' | 'instance' | 'ignored';

export interface Layout {
  /** What was looked for, for an error message; without the source's path. */
  readonly expected: string;
  /** What a node is. @param segments its path below the source's path; never empty. */
  role(segments: readonly string[]): NodeRole;
  /** The service whose instances are children of a folder; undefined: it has none of its own. */
  service(folder: readonly string[]): ServiceKey | undefined;
  /** A service exists as soon as its folder does; else with its first instance. */
  readonly emptyServices: boolean;
  /** The name of an instance's node says everything: its data is not read. */
  readonly named: boolean;
  /** Weights mean something among the instances of one service only. */
  readonly relativeWeights: boolean;
  /** @param text the data, or the node's name when `named`. */
  read(text: string, options: InstanceOptions): Reading;
}

const twoLevels = {
  role: (segments: readonly string[]): NodeRole => (segments.length < 2 ? 'folder' : 'instance'),
  service: (folder: readonly string[]) => (folder.length === 1 ? serviceFromPath(folder) : undefined),
  emptyServices: true,
  named: false,
  relativeWeights: false,
};

/** Beside the interfaces in Dubbo's root: its own data, and Dubbo 3's application level. */
const DUBBO_OWN = new Set(['config', 'mapping', 'metadata']);
/** Deeper serversets are not looked for. */
const SERVERSET_DEPTH = 6;

const LAYOUTS: Readonly<Record<ZookeeperSource['layout'], Layout>> = {
  curator: {
    ...twoLevels,
    expected: '/SERVICE/ID with {"name":…,"address":"10.0.0.1","port":8080,…}',
    read: readCurator,
  },
  json: { ...twoLevels, expected: `/SERVICE/ID with ${JSON_EXPECTED}`, read: readJsonInstance },
  dubbo: {
    expected: '/INTERFACE/providers/dubbo%3A%2F%2F10.0.0.1%3A20880%2F…',
    role: ([first = '', second, third]) => {
      if (DUBBO_OWN.has(first)) return 'ignored';
      if (second === undefined) return 'folder';
      if (second !== 'providers') return 'ignored';
      return third === undefined ? 'folder' : 'instance';
    },
    service: (folder) => (folder.length === 2 ? serviceFromPath(folder.slice(0, 1)) : undefined),
    emptyServices: true,
    named: true,
    relativeWeights: true,
    read: readDubbo,
  },
  serverset: {
    expected: '/SERVICE/member_ID with {"serviceEndpoint":{"host":"10.0.0.1","port":8080},"status":"ALIVE"}',
    role: (segments) => {
      if (segments.at(-1)?.startsWith('member_')) return segments.length > 1 ? 'instance' : 'ignored';
      return segments.length <= SERVERSET_DEPTH ? 'folder' : 'ignored';
    },
    service: serviceFromPath,
    emptyServices: false,
    named: false,
    relativeWeights: false,
    read: readServerset,
  },
  nerve: {
    ...twoLevels,
    expected: '/SERVICE/ID or /SERVICE/services/ID with {"host":"10.0.0.1","port":8080}',
    role: (segments) => {
      if (segments.length < 2) return 'folder';
      if (segments.length === 2) return segments[1] === 'services' ? 'folder' : 'instance';
      return segments[1] === 'services' && segments.length === 3 ? 'instance' : 'ignored';
    },
    service: (folder) => (folder.length <= 2 ? serviceFromPath(folder.slice(0, 1)) : undefined),
    read: readNerve,
  },
};

export function layoutOf(layout: ZookeeperSource['layout']): Layout {
  return LAYOUTS[layout];
}
