// A hundred thousand endpoints say a handful of things: versions, zones, teams. What is equal is kept once.
// Only a saving of memory: nobody may rely on two equal things being the same one. Bounded; what was not met
// for a while is forgotten here, and lives on where it is used.
import type { Labels, Locality, ServicePort } from '../model/endpoint.ts';

/** Of each of two generations. */
const MOST = 4_096;
/** Longer ones are rarely said twice. */
const LONGEST = 1_000;

/** Things by a text that is equal when they are. */
class Pool<T> {
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  share(key: string, thing: T): T {
    if (key.length > LONGEST) return thing;
    const known = this.#young.get(key);
    if (known !== undefined) return known;
    const kept = this.#old.get(key) ?? thing;
    if (this.#young.size >= MOST) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, kept);
    return kept;
  }
}

const texts = new Pool<string>();
const labelSets = new Pool<Labels>();
const localities = new Pool<Locality>();
const portLists = new Pool<readonly ServicePort[]>();

const NO_LABELS: Labels = Object.freeze({});

export function sharedText(text: string): string {
  return texts.share(text, text);
}

/** The labels must not be changed by anybody after this. */
export function sharedLabels(labels: Labels): Labels {
  let key = '';
  for (const name in labels) key += `${name}\0${labels[name]}\0`;
  return key === '' ? NO_LABELS : labelSets.share(key, labels);
}

export function sharedPorts(ports: readonly ServicePort[]): readonly ServicePort[] {
  const key = ports.map(({ name, port, protocol }) => `${name}\0${port}\0${protocol}\0`).join('');
  return portLists.share(key, ports);
}

export function sharedLocality(locality: Locality): Locality {
  const { region, zone, subZone } = locality;
  return localities.share(`${region}\0${zone}\0${subZone}`, locality);
}
