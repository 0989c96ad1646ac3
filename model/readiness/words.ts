// Small things that findings are written with. Pure.
import type { Finding, FindingCode, Seen, Severity } from './types.ts';

export const NOTHING: Seen = { what: '', by: '' };

export const seen = (what: string, by: string): Seen => ({ what, by });

export const list = (words: readonly string[]): string => words.join(', ');

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** A finding about one side alone. */
export function findingOn(which: 'from' | 'to') {
  return (code: FindingCode, severity: Severity, title: string, what: Seen, todo: string): Finding => ({
    code,
    severity,
    title,
    from: which === 'from' ? what : NOTHING,
    to: which === 'to' ? what : NOTHING,
    todo,
  });
}
