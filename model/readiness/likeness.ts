// Would callers notice that the other side answers: ports, protocols, health paths, versions, labels, networks. Pure.
import { list, seen } from './words.ts';
import type { Side } from './side.ts';
import type { Finding, FindingCode, Severity, SidePort, SideSummary } from './types.ts';

/** Told by the sources themselves, and different on each side by nature. */
const OWN_LABELS = /^(isthmus\.dev\/|kubernetes\.io\/|k8s\.io\/|pod-template-hash$|node$|pod$|tags$)/;

/** Only of sides that have something. */
export function likeness({ summary: from }: Side, { summary: to }: Side): readonly Finding[] {
  if (!from.listed || !to.listed) return [];
  return [
    ...ports(from, to),
    ...healthPaths(from, to),
    ...versions(from, to),
    ...labels(from, to),
    ...networks(from, to),
  ];
}

function ports(from: SideSummary, to: SideSummary): readonly Finding[] {
  const found: Finding[] = [];
  const differ = finder(from, to);
  for (const port of from.ports) {
    const other = to.ports.find(({ mergedName }) => mergedName === port.mergedName);
    if (other) found.push(...portPair(port, other, from, to));
    else {
      const todo = `Add ${portText(port)} to the service on ${to.source}, with that name; or, if nobody calls it, take it out on ${from.source}.`;
      const names = list(to.ports.map(portText)) || 'no ports';
      found.push(
        differ(
          'port-missing',
          'blocker',
          `${portText(port)} is not on ${to.source}`,
          portText(port),
          names,
          todo,
        ),
      );
    }
  }
  for (const port of to.ports) {
    if (from.ports.some(({ mergedName }) => mergedName === port.mergedName)) continue;
    const title = `${portText(port)} is on ${to.source} alone`;
    found.push(
      differ('port-new', 'note', title, 'none', portText(port), 'Nothing; callers do not know it yet.'),
    );
  }
  return found;
}

function portPair(a: SidePort, b: SidePort, from: SideSummary, to: SideSummary): readonly Finding[] {
  const found: Finding[] = [];
  const differ = finder(from, to);
  const [pa, pb] = [spoken(a.protocol), spoken(b.protocol)];
  if (pa !== pb && pa !== '' && pb !== '') {
    const todo = `Make both say the same (\`appProtocol\` of a Kubernetes port, tags or metadata \`protocol\` in registries): one cluster has one protocol.`;
    const title = `${portText(a)} speaks another protocol on the other side`;
    found.push(differ('protocol-differs', 'blocker', title, a.protocol, b.protocol, todo));
  } else if (pa !== pb) {
    const todo = 'Say it on both sides, so that it is not taken from one of them.';
    const title = `only one side says which protocol ${portText(a)} speaks`;
    found.push(
      differ('protocol-unsaid', 'note', title, a.protocol || 'not said', b.protocol || 'not said', todo),
    );
  }
  if (a.name !== b.name && a.name !== '' && b.name !== '') {
    const title = 'the primary port has another name on the other side';
    const todo =
      'Nothing, if it is the same port: both serve the bare service name. Else set `isthmus.dev/port` on one side.';
    found.push(
      differ('port-differs', 'warning', title, `primary port ${a.name}`, `primary port ${b.name}`, todo),
    );
  }
  if (a.number !== b.number && a.number !== 0 && b.number !== 0) {
    const title = 'callers name the port by another number on each side';
    const todo =
      'Nothing: both numbers lead to the service while both sources list it. After `retire` only the new one does.';
    found.push(differ('port-differs', 'note', title, String(a.number), String(b.number), todo));
  }
  return found;
}

/** `http1` and `http` are one; case does not matter. */
function spoken(protocol: string): string {
  const name = protocol.toLowerCase();
  if (name === 'http1' || name === 'http/1.1') return 'http';
  if (name === 'h2c' || name === 'http/2' || name === 'kubernetes.io/h2c') return 'http2';
  return name;
}

const portText = ({ name, primary }: SidePort): string =>
  name === '' ? 'the unnamed port' : `port ${name}${primary ? ' (primary)' : ''}`;

function healthPaths(from: SideSummary, to: SideSummary): readonly Finding[] {
  // What nobody says is `/`, which sidecars write down.
  const asked = (paths: readonly string[]) => [...new Set(paths.map((path) => path || '/'))].sort();
  if (same(asked(from.healthPaths), asked(to.healthPaths)) || from.endpoints === 0 || to.endpoints === 0) {
    return [];
  }
  const said = (paths: readonly string[]) => list(paths.map((path) => path || 'the default'));
  const todo =
    'Give both sides the same `isthmus.dev/health-path`: active checks of one cluster ask for one path, and a side that lacks it would fail them.';
  const title = 'pings and active checks ask for another path on each side';
  return [
    finder(from, to)(
      'health-path-differs',
      'warning',
      title,
      said(from.healthPaths),
      said(to.healthPaths),
      todo,
    ),
  ];
}

function versions(from: SideSummary, to: SideSummary): readonly Finding[] {
  if (from.endpoints === 0 || to.endpoints === 0) return [];
  const differ = finder(from, to);
  const said = (all: readonly string[]) => list(all.map((version) => version || 'none'));
  const lacks = (all: readonly string[]) => all.includes('');
  if (lacks(from.versions) !== lacks(to.versions)) {
    const title = 'endpoints of one side do not say their version';
    const todo =
      'Label them `version`: subsets, canaries and rollbacks name it, and a failed step is easier to read.';
    return [differ('version-missing', 'warning', title, said(from.versions), said(to.versions), todo)];
  }
  if (same(from.versions, to.versions)) return [];
  const title = 'the sides run different versions';
  const todo =
    'Move the same version first, then upgrade: otherwise a failed gate does not tell which of the two failed.';
  return [differ('version-differs', 'warning', title, said(from.versions), said(to.versions), todo)];
}

function labels(from: SideSummary, to: SideSummary): readonly Finding[] {
  if (from.endpoints === 0 || to.endpoints === 0) return [];
  const missing = from.labels.filter(
    (name) => name !== 'version' && !OWN_LABELS.test(name) && !to.labels.includes(name),
  );
  if (missing.length === 0) return [];
  const has = to.labels.filter((name) => !OWN_LABELS.test(name));
  const title = 'labels of one side are not on the other';
  const todo = 'Only if policies, subsets or people select by them: put them on the other side, too.';
  return [finder(from, to)('labels-differ', 'note', title, list(missing), list(has) || 'none', todo)];
}

function networks(from: SideSummary, to: SideSummary): readonly Finding[] {
  if (from.endpoints === 0 || to.endpoints === 0 || same(from.networks, to.networks)) return [];
  const said = (all: readonly string[]) => list(all.map((network) => network || 'the default network'));
  const title = 'the sides are in different networks';
  const todo =
    'Make sure that callers reach the addresses of both: a route, or a gateway. Isthmus routes no packets.';
  return [
    finder(from, to)('network-differs', 'warning', title, said(from.networks), said(to.networks), todo),
  ];
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((each, index) => each === b[index]);

function finder(from: SideSummary, to: SideSummary) {
  return (
    code: FindingCode,
    severity: Severity,
    title: string,
    onFrom: string,
    onTo: string,
    todo: string,
  ): Finding => ({
    code,
    severity,
    title,
    from: seen(onFrom, from.source),
    to: seen(onTo, to.source),
    todo,
  });
}
