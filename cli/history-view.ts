// The columns of `isthmus history`, and what changed, in words.
import type { ChangeJson, EndpointWordJson, PastEndpointJson } from '../admin/types.ts';
import { overrideText } from '../model/rules.ts';
import type { View } from './output.ts';
import type { Colour } from './paint.ts';

const COLOURS: Readonly<Record<ChangeJson['change'], Colour | undefined>> = {
  added: 'green',
  removed: 'red',
  changed: 'yellow',
  note: undefined,
};

export function changesView(): View<ChangeJson> {
  return {
    columns: [
      { title: 'TIME', text: (c) => c.time },
      { title: 'SOURCE', text: (c) => c.source },
      { title: 'ENDPOINT', text: (c) => c.endpoint ?? '' },
      { title: 'CHANGE', text: (c) => c.change, colour: (c) => COLOURS[c.change] },
      { title: 'BY', text: (c) => c.cause.kind },
      { title: 'WHAT', text: whatChanged },
    ],
    wide: [{ title: 'CAUSE', text: (c) => c.cause.detail }],
    none: 'Nothing happened in that time.',
  };
}

export function pastView(): View<PastEndpointJson> {
  return {
    columns: [
      { title: 'SOURCE', text: (p) => p.source },
      { title: 'ADDRESS', text: (p) => (p.endpoint ? `${p.endpoint.address}:${p.endpoint.port}` : '') },
      { title: 'HEALTH', text: (p) => p.endpoint?.health ?? '' },
      { title: 'WEIGHT', text: (p) => (p.endpoint ? String(p.endpoint.weight) : '') },
      { title: 'MARKS', text: (p) => marksThen(p).join(', ') },
    ],
    wide: [],
    none: 'No source spoke of it then.',
  };
}

function marksThen({ endpoint, override, note }: PastEndpointJson): readonly string[] {
  const set = override && {
    ...(override.drain ? { drain: true as const } : {}),
    ...(override.weight === null ? {} : { weight: override.weight }),
    labels: override.labels,
  };
  const by = override?.by === '' ? 'an operator' : override?.by;
  const why = override?.reason ? `: ${override.reason}` : '';
  return [
    ...(endpoint ? marksOf(endpoint) : [note]),
    ...(set && override ? [`${overrideText(set)} by ${by ?? ''} until ${override.until}${why}`] : []),
  ];
}

export function whatChanged({ change, before, after, note, cause }: ChangeJson): string {
  // What an operator did has a reason, which is worth more than its kind.
  if (change === 'note') return cause.kind === 'operator' ? `${note} (${cause.detail})` : note;
  if (!before || !after) {
    const word = after ?? before;
    return word ? [`${word.health}, weight ${word.weight}`, ...marksOf(word)].join(', ') : '';
  }
  const fields = ['health', 'weight', 'portName', 'labels', 'locality'] as const;
  const said = fields.flatMap((field) => {
    const [was, is] = [textOf(before[field]), textOf(after[field])];
    return was === is ? [] : [`${field} ${was} → ${is}`];
  });
  const [marksBefore, marksAfter] = [marksOf(before), marksOf(after)];
  const gone = marksBefore.filter((mark) => !marksAfter.includes(mark)).map((mark) => `no longer ${mark}`);
  const come = marksAfter.filter((mark) => !marksBefore.includes(mark));
  return [...said, ...come, ...gone].join(', ');
}

function marksOf({ doubted, quarantined, expired, proven, damping, warmUp }: EndpointWordJson): string[] {
  return [
    ...(doubted ? [`doubted (${doubted.cause})`] : []),
    ...(quarantined ? [`quarantined (answered as ${quarantined.answeredAs})`] : []),
    ...(proven ? ['proven by ping'] : []),
    ...(expired ? ['expired'] : []),
    ...(damping < 1 ? [`damped to ${damping}`] : []),
    ...(warmUp < 1 ? [`warming up at ${warmUp}`] : []),
  ];
}

const textOf = (value: object | string | number): string =>
  typeof value === 'object' ? JSON.stringify(value) : String(value);
