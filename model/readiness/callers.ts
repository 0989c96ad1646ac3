// Who calls the service, who would follow the move, and whether there is enough traffic to judge a step by. Pure.
import type { LoadRow } from '../load.ts';
import { list, NOTHING, plural, seen } from './words.ts';
import type { Caller, Finding, ReadinessFacts } from './types.ts';

/** Clusters of sidecars that lead to the app beside them. */
const INBOUND = 'inbound';
const SHOWN = 5;
/** So many requests, and this part of all, may be pings, checks, or under way between two reports. */
const SLACK = { requests: 20, ratio: 0.1 };

export function callersOf({ service, load, proxies, from }: ReadinessFacts): readonly Caller[] {
  const byNode = new Map<string, LoadRow[]>();
  for (const row of load) {
    if (row.service !== service || row.issued + row.inProgress === 0) continue;
    byNode.set(row.node, [...(byNode.get(row.node) ?? []), row]);
  }
  return [...byNode]
    .map(([node, rows]): Caller => {
      const proxy = proxies.find((each) => each.node === node);
      const isPooled = rows.some(({ side }) => side === '');
      return {
        node,
        service: proxy?.service ?? '',
        kind: proxy?.kind ?? '',
        requests: sum(rows),
        toFrom: isPooled ? null : sum(rows.filter(({ side }) => side === from)),
        lastReport: Math.max(...rows.map(({ lastReport }) => lastReport)),
      };
    })
    .sort((a, b) => b.requests - a.requests || (a.node < b.node ? -1 : 1));
}

const sum = (rows: readonly LoadRow[]): number => rows.reduce((total, { issued }) => total + issued, 0);

export function traffic(callers: readonly Caller[], facts: ReadinessFacts): readonly Finding[] {
  return [
    ...gate(callers, facts),
    ...unseenCallers(facts),
    ...unseenRequests(callers, facts),
    ...withoutProxy(facts),
  ];
}

function gate(callers: readonly Caller[], facts: ReadinessFacts): readonly Finding[] {
  const { successRate, steps } = facts.gates;
  if (!successRate) return [];
  const { windowMs, minRequests } = successRate;
  if (callers.length === 0) {
    const todo =
      'Send its callers through a sidecar (`isthmus proxy` or an Envoy with our bootstrap), and look again while they call. Without reports no gate can be judged.';
    return [
      {
        code: 'nobody-calls',
        severity: 'blocker',
        title: `no data plane reported a request to ${facts.service} within ${minutes(facts.windowMs)}`,
        from: NOTHING,
        to: seen('no requests', 'load reports'),
        todo,
      },
    ];
  }
  const perWindow = perSecond(facts) * (windowMs / 1_000);
  const short = steps.filter((percent) => (perWindow * percent) / 100 < minRequests);
  if (short.length === 0) return [];
  const isNever = perWindow < minRequests;
  const todo = isNever
    ? `Lower gates.successRate.minRequests below ${Math.max(1, Math.floor(perWindow))}, or make its window longer than ${minutes(Math.ceil((minRequests / Math.max(perWindow, 0.001)) * windowMs))}; or mirror traffic first.`
    : `The move waits at ${list(short.map((percent) => `${percent} %`))} for ever, or until traffic grows: begin with a larger step, a longer window, or mirrored traffic.`;
  const what = `${round(perWindow)} requests in ${minutes(windowMs)}, of ${plural(callers.length, 'caller')}`;
  return [
    {
      code: isNever ? 'gate-never-met' : 'gate-waits',
      severity: isNever ? 'blocker' : 'warning',
      title: `the gate successRate asks for ${minRequests} requests in ${minutes(windowMs)} to the new side`,
      from: seen(what, 'load reports'),
      to: seen(
        isNever ? 'too few even at 100 %' : `too few at ${list(short.map((p) => `${p} %`))}`,
        'load reports',
      ),
      todo,
    },
  ];
}

/** Of all callers, over the time that their reports cover. */
function perSecond({ load, service }: ReadinessFacts): number {
  const own = load.filter((row) => row.service === service);
  const seconds = Math.max(0, ...own.map(({ coveredMs }) => coveredMs)) / 1_000;
  return seconds === 0 ? 0 : sum(own) / seconds;
}

/** Connected, and silent about their requests: whether they call is not known. */
function unseenCallers({ proxies, reporters, load, service }: ReadinessFacts): readonly Finding[] {
  const told = new Set(load.map(({ node }) => node));
  const silent = proxies.filter(
    (proxy) => !reporters.has(proxy.node) && !told.has(proxy.node) && proxy.service !== service,
  );
  if (silent.length === 0) return [];
  const names = list(silent.slice(0, SHOWN).map(({ node }) => node));
  return [
    {
      code: 'callers-unseen',
      severity: 'warning',
      title: `${plural(silent.length, 'connected data plane')} do not report load: they would follow, and nobody sees how they fare`,
      from: NOTHING,
      to: seen(silent.length > SHOWN ? `${names}, …` : names, 'proxies'),
      todo: 'Give them a bootstrap of ours (`isthmus bootstrap`), which asks for load reports; gRPC clients need LRS in their library.',
    },
  ];
}

/** What reached the service's own sidecars and no caller has reported: it comes from outside, and will not follow. */
function unseenRequests(callers: readonly Caller[], facts: ReadinessFacts): readonly Finding[] {
  const own = new Set(
    facts.proxies.filter(({ service }) => service === facts.service).map(({ node }) => node),
  );
  const arrived = sum(facts.load.filter((row) => row.service === INBOUND && own.has(row.node)));
  const reported = callers.reduce((total, { requests }) => total + requests, 0);
  const excess = arrived - reported;
  if (excess <= SLACK.requests + SLACK.ratio * reported) return [];
  return [
    {
      code: 'requests-unseen',
      severity: 'warning',
      title: 'requests arrive that no data plane sent: their callers would not follow',
      from: seen(
        `${arrived} requests reached its sidecars within ${minutes(facts.windowMs)}, data planes sent ${reported}`,
        'load reports',
      ),
      to: NOTHING,
      todo: 'Look into the access logs of its sidecars for requests without x-isthmus-service, and put a sidecar beside each such caller. Checks of a registry and pings are among them, and need nothing.',
    },
  ];
}

/** Workloads that no data plane stands beside: if they call, then by themselves. */
function withoutProxy({ services, proxies, service }: ReadinessFacts): readonly Finding[] {
  const meshed = new Set(proxies.map((proxy) => proxy.service));
  const bare = services.filter((name) => name !== service && !meshed.has(name));
  if (bare.length === 0) return [];
  const names = list(bare.slice(0, SHOWN));
  return [
    {
      code: 'services-without-proxy',
      severity: 'note',
      title: `${plural(bare.length, 'service')} in the catalogue have no data plane: whether they call ${service} by themselves cannot be known`,
      from: seen(bare.length > SHOWN ? `${names}, …` : names, 'proxies'),
      to: NOTHING,
      todo: 'If they call it (by DNS, or by a client of the registry), they stay on the old side until they get a sidecar.',
    },
  ];
}

const round = (value: number): number => (value >= 10 ? Math.round(value) : Math.round(value * 10) / 10);

function minutes(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return seconds % 60 === 0
    ? `${seconds / 60}m`
    : seconds > 600
      ? `${Math.ceil(seconds / 60)}m`
      : `${seconds}s`;
}
