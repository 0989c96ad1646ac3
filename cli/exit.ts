// How a command ends: exit codes that scripts can use, and errors as one message with what to do about it.
import { IsthmusError, describeError } from '../lib/errors.ts';
import { paint } from './paint.ts';

/** 0 ok · 1 failure · 2 wrong usage or config, nothing was started · 3 the server cannot be reached. */
export const EXIT = { ok: 0, failure: 1, usage: 2, unreachable: 3 } as const;

const BY_CODE: Readonly<Record<string, number>> = {
  ISTHMUS_CONFIG_INVALID: EXIT.usage,
  ISTHMUS_CONFIG_UNREADABLE: EXIT.usage,
  ISTHMUS_RESOURCES_INVALID: EXIT.usage,
  ISTHMUS_USAGE: EXIT.usage,
  ISTHMUS_SERVER_UNREACHABLE: EXIT.unreachable,
};

export function exitCodeOf(error: unknown): number {
  return (error instanceof IsthmusError ? BY_CODE[error.code] : undefined) ?? EXIT.failure;
}

/** The text for standard error: never a bare stack. */
export function errorText(error: unknown, colour: boolean): string {
  const pen = paint(colour);
  const label = pen('red', 'error:');
  if (!(error instanceof IsthmusError)) return `${label} ${describeError(error)}\n`;
  // The problems of files are lines of their own, ready for an editor to jump to.
  if (error.code === 'ISTHMUS_CONFIG_INVALID' || error.code === 'ISTHMUS_RESOURCES_INVALID')
    return `${error.message}\n`;
  const hint = error.hint === '' ? '' : `${error.hint}\n`;
  return `${label} ${describeError(error)} (${error.code})\n${hint}`;
}
