// How migrations are shown: a table of all, a page for one, a line for what has changed. Pure.
import type { MigrationJson } from '../admin/types-migration.ts';
import type { View } from './output.ts';
import type { Colour, Pen } from './paint.ts';
import { age } from './table.ts';

const COLOURS: Readonly<Partial<Record<MigrationJson['phase'], Colour>>> = {
  completed: 'green',
  retired: 'green',
  rollingBack: 'red',
  rolledBack: 'red',
  aborted: 'red',
  paused: 'yellow',
  awaitingApproval: 'yellow',
};

const shareText = (share: number | null): string =>
  share === null ? '' : `${Math.round(share * 1_000) / 10}%`;

const stepText = ({ step, steps }: MigrationJson): string => `${step}/${steps.length}`;

export function migrationsView(): View<MigrationJson> {
  return {
    columns: [
      { title: 'SERVICE', text: (m) => m.service },
      { title: 'FROM', text: (m) => m.from },
      { title: 'TO', text: (m) => m.to },
      { title: 'PHASE', text: (m) => m.phase, colour: (m) => COLOURS[m.phase] },
      { title: 'STEP', text: stepText },
      { title: 'WANTED', text: (m) => shareText(m.wantedShare) },
      { title: 'SHARE', text: (m) => shareText(m.share) },
      { title: 'MEASURED', text: (m) => shareText(m.measured?.share ?? null) },
      { title: 'AGE', text: (m) => age((Date.now() - Date.parse(m.since)) / 1_000) },
      { title: 'WAITS-FOR', text: (m) => m.waitsFor },
    ],
    wide: [
      { title: 'REASON', text: (m) => m.reason },
      { title: 'ORIGIN', text: (m) => m.origin },
    ],
    none: 'No migrations.',
  };
}

/** `orders.default: stepping 2/4, 10% of the traffic on k8s: REASON` */
export function migrationLine(m: MigrationJson): string {
  return `${m.service}: ${m.phase} ${stepText(m)}, ${shareText(m.share)} of the traffic on ${m.to}: ${m.reason}`;
}

const GATE_COLOURS: Readonly<Record<string, Colour>> = { pass: 'green', fail: 'red', wait: 'yellow' };

export function migrationText(m: MigrationJson, pen: Pen): string {
  const line = (name: string, text: string) => `${name.padEnd(12)}${text}`;
  const { measured } = m;
  const gates = (list: MigrationJson['gates']) =>
    list.map(({ gate, verdict, text }) => {
      const shown = pen(GATE_COLOURS[verdict] ?? 'grey', verdict.padEnd(5));
      return `  ${shown} ${gate.padEnd(14)} ${text}`;
    });
  return `${[
    line('Service', m.service),
    line('From → to', `${m.from} → ${m.to}`),
    line('Phase', `${pen(COLOURS[m.phase] ?? 'cyan', m.phase)} since ${m.since}, attempt ${m.attempt}`),
    line('Step', `${stepText(m)} (${m.steps.map(({ percent }) => `${percent} %`).join(', ')})`),
    line(
      'Share',
      `${shareText(m.share)} told, ${shareText(m.wantedShare)} wanted, ${shareText(measured?.share ?? null) || 'nothing'} measured`,
    ),
    ...(measured
      ? [
          line(
            'Requests',
            `${m.from} ${measured.fromRequests} (${measured.fromErrors} failed), ${m.to} ${measured.toRequests} (${measured.toErrors} failed) in ${Math.round(measured.seconds)} s`,
          ),
        ]
      : []),
    line('Why', m.reason),
    ...(m.waitsFor === '' ? [] : [line('Waits for', m.waitsFor)]),
    ...(m.controller === '' ? [] : [line('Steps', m.controller)]),
    line('Origin', m.origin),
    ...(m.gates.length > 0 ? ['Gates now', ...gates(m.gates)] : []),
    ...(m.decidedBy.length > 0 ? [`Gates when it became ${m.phase}`, ...gates(m.decidedBy)] : []),
  ].join('\n')}\n`;
}
