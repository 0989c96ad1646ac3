// What `isthmus migrate retire` prints for people. Pure.
import type { RetirementJson, UseJson } from '../admin/retirement.ts';
import { DEFAULT_AFTER_MS } from '../model/usage.ts';
import type { Pen } from './paint.ts';
import { age, ageOf, table } from './table.ts';

/** @param now milliseconds since the epoch. @param isWide further columns: -o wide. */
export function retirementText(told: RetirementJson, now: number, pen: Pen, isWide = false): string {
  const { service, from, to, phase, callers, lastUse, quietSeconds, unseen } = told;
  const last = lastUse ? `${ageOf(lastUse.last, now)} ago, by ${lastUse.node}` : 'none was ever seen';
  const sections = [
    `${service}: ${from} → ${to}, ${phase}\n`,
    `last request to ${from}: ${last}\nwatched without a request: ${age(quietSeconds)} of the ${age(told.afterSeconds)} asked for\n`,
    callers.length === 0
      ? ''
      : table<UseJson>(
          [
            { title: 'CALLER', text: ({ node }) => node },
            { title: 'SERVICE', text: (caller) => caller.service },
            { title: 'LAST', text: (caller) => ageOf(caller.last, now) },
            ...(isWide ? [{ title: 'AT', text: (caller: UseJson) => caller.last }] : []),
          ],
          callers,
          pen,
        ),
    `cannot be seen:\n${unseen.map((line) => `  - ${line}\n`).join('')}`,
    verdictText(told, pen),
  ];
  return sections.filter((text) => text !== '').join('\n');
}

function verdictText(told: RetirementJson, pen: Pen): string {
  const { safe, safeSince, from, why, phase, service, afterSeconds } = told;
  if (!safe) return `${pen('red', 'not safe')}: ${why}\n`;
  if (phase === 'retired') return `${pen('green', 'retired')}: ${from} gets nothing any more\n`;
  // What was asked is what is confirmed.
  const after = afterSeconds === DEFAULT_AFTER_MS / 1_000 ? '' : ` --after ${flagText(afterSeconds)}`;
  const then = `\`isthmus migrate retire ${service}${after} --confirm\` takes it out`;
  return `${pen('green', 'safe')} since ${safeSince ?? 'now'}: ${from} may be switched off; ${then}\n`;
}

/** As `--after` takes it: in the largest unit that is exact. */
function flagText(seconds: number): string {
  const units = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'm'],
  ] as const;
  const [size, unit] = units.find(([each]) => seconds % each === 0) ?? [1, 's'];
  return `${seconds / size}${unit}`;
}
