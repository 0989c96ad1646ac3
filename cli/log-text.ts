// The log for a person at a terminal: `12:03:04 warn  source is stale  source=consul-dc1 cause="…"`. Anything
// else that reads standard error gets the JSON lines as they are.
import type { Pen } from './paint.ts';
import { paint, wantsColour } from './paint.ts';

export interface LogDestination {
  write(line: string): void;
}

export function logDestination(
  stream: LogDestination & { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): LogDestination {
  if (stream.isTTY !== true) return stream;
  const pen = paint(wantsColour(stream, env));
  return {
    write(line) {
      stream.write(logText(line, pen));
    },
  };
}

/** One JSON line of the log as text; a line that is no JSON stays as it is. */
export function logText(line: string, pen: Pen): string {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch {
    // Not ours to judge: whatever was written is shown.
    return line;
  }
  if (typeof record !== 'object' || record === null) return line;
  const { level, time, msg, ...fields } = record as Record<string, unknown>;
  const name = typeof level === 'string' ? level : '';
  const colour = name === 'error' ? 'red' : name === 'warn' ? 'yellow' : 'grey';
  const rest = Object.entries(fields).map(([key, value]) => `${pen('grey', `${key}=`)}${valueText(value)}`);
  const head = `${pen('grey', clockOf(time))} ${pen(colour, name.padEnd(5))} ${typeof msg === 'string' ? msg : ''}`;
  return `${[head, ...rest].join(rest.length > 0 ? '  ' : '')}\n`;
}

/** `12:03:04` of an RFC 3339 time. */
const clockOf = (time: unknown): string => (typeof time === 'string' ? time.slice(11, 19) : '');

function valueText(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  // Of an error its message; the stack is for machines.
  const message =
    typeof value === 'object' && value !== null && 'message' in value ? value.message : undefined;
  return JSON.stringify(message ?? value);
}
