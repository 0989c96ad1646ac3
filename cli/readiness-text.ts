// What `isthmus migrate plan` prints for people: both sides beside each other, what was found, and the verdict. Pure.
import type { ReadinessJson, SideJson } from '../admin/readiness.ts';
import type { Finding, Seen, Severity } from '../model/readiness/types.ts';
import type { Colour, Pen } from './paint.ts';
import { table } from './table.ts';

const COLOURS: Readonly<Record<Severity, Colour>> = { blocker: 'red', warning: 'yellow', note: 'grey' };

/** @param isWide further columns: -o wide. */
export function readinessText(told: ReadinessJson, pen: Pen, isWide = false): string {
  const { service, from, to, sides, callers, findings, unknown } = told;
  const sections = [
    `${service}: ${from} → ${to}\n`,
    table(
      [
        { title: 'WHAT', text: ([what]) => what },
        { title: from.toUpperCase(), text: ([, of]) => of(sides.from) },
        { title: to.toUpperCase(), text: ([, of]) => of(sides.to) },
      ],
      ROWS,
      pen,
    ),
    callers.length === 0
      ? 'callers: none reported\n'
      : table(
          [
            { title: 'CALLER', text: (c) => c.node },
            { title: 'SERVICE', text: (c) => c.service },
            { title: 'KIND', text: (c) => c.kind },
            { title: 'REQUESTS', text: (c) => String(c.requests) },
            { title: `TO-${from.toUpperCase()}`, text: (c) => (c.toFrom === null ? '?' : String(c.toFrom)) },
            ...(isWide
              ? [{ title: 'LAST-REPORT', text: (c: ReadinessJson['callers'][number]) => c.lastReport }]
              : []),
          ],
          callers,
          pen,
        ),
    ...findings.map((finding) => findingText(finding, told, pen)),
    `not known:\n${unknown.map((line) => `  - ${line}\n`).join('')}`,
    verdictText(told, pen),
  ];
  return sections.join('\n');
}

type Row = readonly [string, (side: SideJson) => string];

const ROWS: readonly Row[] = [
  ['source', ({ kind, state }) => `${kind}, ${state}`],
  ['endpoints', ({ endpoints, ready }) => `${endpoints}, ${ready} ready`],
  ['ready weight', ({ readyWeight }) => String(readyWeight)],
  [
    'ports',
    ({ ports }) =>
      ports
        .map(({ name, number, protocol, endpointPorts }) => {
          const said = [protocol, number === 0 ? '' : String(number)].filter((text) => text !== '');
          return `${name || 'unnamed'}(${said.join(' ') || '-'})→${endpointPorts.join('|') || '-'}`;
        })
        .join(' '),
  ],
  ['health path', ({ healthPaths }) => orDefault(healthPaths, 'default')],
  ['version', ({ versions }) => orDefault(versions, 'none')],
  // Ours say nothing of the app.
  ['labels', ({ labels }) => labels.filter((name) => !name.startsWith('isthmus.dev/')).join(',')],
  ['weights', ({ weights }) => weights.join(',')],
  ['network', ({ networks }) => orDefault(networks, 'default')],
  [
    'pings',
    ({ pings }) =>
      [
        [pings.proven, 'proven'],
        [pings.unproven, 'unproven'],
        [pings.refused, 'unanswered'],
        [pings.otherService, 'another service'],
        [pings.notAsked, 'not asked'],
      ]
        .filter(([count]) => count !== 0)
        .map(([count, word]) => `${count} ${word}`)
        .join(', '),
  ],
];

const orDefault = (texts: readonly string[], byDefault: string): string =>
  texts.map((text) => text || byDefault).join(', ');

function findingText(
  { severity, code, title, from, to, todo }: Finding,
  told: ReadinessJson,
  pen: Pen,
): string {
  const side = (name: string, { what, by }: Seen) =>
    what === '' ? '' : `  ${name}: ${what}${by === '' || by === name ? '' : ` (${by})`}\n`;
  return [
    `${pen(COLOURS[severity], severity)} ${code}: ${title}\n`,
    side(told.from, from),
    side(told.to, to),
    `  → ${todo}\n`,
  ].join('');
}

function verdictText({ ready, score, findings }: ReadinessJson, pen: Pen): string {
  const count = (severity: Severity) => {
    const found = findings.filter((finding) => finding.severity === severity).length;
    return `${found} ${severity}${found === 1 ? '' : 's'}`;
  };
  const word = ready ? pen('green', 'ready') : pen('red', 'not ready');
  return `${word}: score ${score} of 100, ${count('blocker')}, ${count('warning')}, ${count('note')}\n`;
}
