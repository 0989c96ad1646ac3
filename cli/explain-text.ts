// What `isthmus explain` prints for people: a verdict, then who said what. Pure.
import type {
  AddressExplanationJson,
  EndpointExplanationJson,
  FactJson,
  LeftOutJson,
  ServiceExplanationJson,
} from '../admin/types.ts';
import type { Colour, Pen } from './paint.ts';
import { ageOf, percent, table } from './table.ts';
import type { Column } from './table.ts';

const VERDICT_COLOURS: Readonly<Record<string, Colour>> = {
  in: 'green',
  reserve: 'yellow',
  draining: 'yellow',
  failing: 'red',
  out: 'red',
};

/** @param now milliseconds since the epoch, for ages. */
export function addressText(told: AddressExplanationJson, now: number, pen: Pen): string {
  const { service, address, endpoints, absent } = told;
  const parts = endpoints.map((endpoint) => endpointText(endpoint, now, pen));
  if (absent.length > 0) {
    parts.push(
      `${service} ${address} is ${pen('red', 'out')}: no caller gets it\n\n${factsText(absent, now, pen)}`,
    );
  }
  return parts.join('\n');
}

function endpointText(endpoint: EndpointExplanationJson, now: number, pen: Pen): string {
  const { service, verdict, facts, witnesses } = endpoint;
  const word = pen(VERDICT_COLOURS[verdict] ?? 'grey', verdict);
  const said = table(
    [
      { title: 'SOURCE', text: (w) => w.source },
      { title: 'STATE', text: (w) => w.state },
      { title: 'SAID', text: (w) => ageOf(w.since, now) },
      { title: 'HEARD', text: (w) => (w.heard ? 'yes' : 'no') },
      { title: 'HEALTH', text: (w) => w.health },
      { title: 'WEIGHT', text: (w) => String(w.weight) },
      { title: 'GIVES', text: (w) => w.gives.join(',') },
    ],
    witnesses,
    pen,
  );
  return [
    `${service} ${whereText(endpoint)} is ${word}: ${placeText(endpoint)}\n`,
    factsText(facts, now, pen),
    said,
    `${weightText(endpoint)}\n`,
  ].join('\n');
}

function whereText({ address, port }: EndpointExplanationJson): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function placeText(endpoint: EndpointExplanationJson): string {
  const { verdict, share, portName, priority, side, health } = endpoint;
  const at = `port ${portName === '' ? 'primary' : portName}`;
  if (verdict === 'out') return `no caller gets it at ${at}`;
  const place = `priority ${priority ?? 0}${side === '' ? '' : `, side ${side}`}`;
  if (verdict === 'in') return `${percent(share)} of ${at}, ${place}, ${health}`;
  const words = {
    reserve: 'traffic only when others cannot take it',
    failing: 'no traffic while others are healthy',
    draining: 'requests under way end, nothing new comes',
  } as const;
  return `${words[verdict]}; ${at}, ${place}`;
}

function weightText({ weight, factors }: EndpointExplanationJson): string {
  const product = factors.map(({ name, value, origin }) => {
    return `${name} ${value}${origin === '' ? '' : ` (${origin})`}`;
  });
  return `weight ${weight} = ${product.join(' × ')}`;
}

function factsText(facts: readonly FactJson[], now: number, pen: Pen): string {
  const columns: readonly Column<FactJson>[] = [
    { title: 'IS', text: (f) => f.is },
    { title: 'SINCE', text: (f) => ageOf(f.since, now) },
    { title: 'UNTIL', text: (f) => untilText(f.until, now) },
    { title: 'BY', text: (f) => f.by.replace(/, /g, ',') },
    { title: 'WHY', text: (f) => f.why },
  ];
  return table(columns, facts, pen);
}

/** `in 30s`; a time that has passed is due: `now`. */
function untilText(until: string | null, now: number): string {
  if (until === null) return '';
  const left = Date.parse(until) - now;
  return left <= 0 ? 'now' : `in ${ageOf(new Date(now - left).toISOString(), now)}`;
}

export function serviceText(told: ServiceExplanationJson, now: number, pen: Pen): string {
  const { service, policy, emptiness, sources, places, leftOut, endpoints } = told;
  const sections = [
    `${service}: policy ${policyText(policy)}, by ${policy.origin}\n`,
    emptiness ? `${pen('yellow', emptiness.cause)}: ${emptiness.why}\n` : '',
    sources.length === 0
      ? ''
      : table(
          [
            { title: 'SOURCE', text: (s) => s.name },
            { title: 'STATE', text: (s) => s.state },
            { title: 'DARK', text: (s) => ageOf(s.since, now) },
            { title: 'ENDPOINTS', text: (s) => String(s.endpoints) },
            { title: 'READY', text: (s) => String(s.ready) },
            { title: 'DOUBTED', text: (s) => String(s.doubted) },
            { title: 'SHARE', text: (s) => percent(s.share) },
            { title: 'CAUSE', text: (s) => s.cause },
          ],
          sources,
          pen,
        ),
    places.length === 0
      ? ''
      : table(
          [
            { title: 'PORT', text: (p) => p.port || 'primary' },
            { title: 'PRIORITY', text: (p) => (p.priority === null ? 'out' : String(p.priority)) },
            { title: 'SIDE', text: (p) => p.side },
            { title: 'ENDPOINTS', text: (p) => String(p.endpoints) },
            { title: 'READY', text: (p) => String(p.ready) },
            { title: 'SHARE', text: (p) => percent(p.share) },
          ],
          places,
          pen,
        ),
    endpoints.length === 0 ? '' : endpointsText(endpoints, now, pen),
    leftOutText(leftOut, pen),
  ];
  return sections.filter((text) => text !== '').join('\n');
}

function policyText(policy: ServiceExplanationJson['policy']): string {
  if (policy.kind === 'prefer') return `prefer ${policy.sources.join(', ')}`;
  if (policy.kind !== 'weighted') return policy.kind;
  const shares = Object.entries(policy.shares).map(([source, share]) => `${source} ${share}`);
  return `weighted ${shares.join(', ')}`;
}

function endpointsText(endpoints: readonly EndpointExplanationJson[], now: number, pen: Pen): string {
  return table<EndpointExplanationJson>(
    [
      { title: 'ADDRESS', text: whereText },
      { title: 'PORT', text: (e) => e.portName || 'primary' },
      { title: 'VERDICT', text: (e) => e.verdict, colour: (e) => VERDICT_COLOURS[e.verdict] },
      { title: 'SHARE', text: (e) => percent(e.share) },
      { title: 'IS', text: (e) => e.facts.map(({ is }) => is).join(',') },
      { title: 'SINCE', text: (e) => ageOf(e.facts[0]?.since ?? null, now) },
      { title: 'WHY', text: (e) => e.facts[0]?.why ?? '' },
    ],
    endpoints,
    pen,
  );
}

function leftOutText(leftOut: readonly LeftOutJson[], pen: Pen): string {
  if (leftOut.length === 0) return '';
  return table<LeftOutJson>(
    [
      { title: 'LEFT-OUT-BY', text: (l) => l.source },
      { title: 'FIELD', text: (l) => l.by },
      { title: 'ENDPOINTS', text: (l) => (l.offered ? String(l.endpoints) : 'not asked for') },
      { title: 'ADDRESSES', text: (l) => l.addresses.join(',') },
    ],
    leftOut,
    pen,
  );
}
