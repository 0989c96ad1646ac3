// What `isthmus migrate retire` prints for people. Pure.
import type { RetirementJson, UseJson } from '../admin/retirement.ts';
import type { Pen } from './paint.ts';
import { age, ageOf, table } from './table.ts';

/** @param now milliseconds since the epoch. */
export function retirementText(told: RetirementJson, now: number, pen: Pen): string {
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
          ],
          callers,
          pen,
        ),
    `cannot be seen:\n${unseen.map((line) => `  - ${line}\n`).join('')}`,
    verdictText(told, pen),
  ];
  return sections.filter((text) => text !== '').join('\n');
}

function verdictText({ safe, safeSince, from, why, phase, service }: RetirementJson, pen: Pen): string {
  if (!safe) return `${pen('red', 'not safe')}: ${why}\n`;
  if (phase === 'retired') return `${pen('green', 'retired')}: ${from} gets nothing any more\n`;
  const then = `\`isthmus migrate retire ${service} --confirm\` takes it out`;
  return `${pen('green', 'safe')} since ${safeSince ?? 'now'}: ${from} may be switched off; ${then}\n`;
}
