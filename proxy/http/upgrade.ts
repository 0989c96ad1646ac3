// Which requests may leave HTTP behind (RFC 9110 §7.8, §9.3.6), and when a response does. Rules and answers only;
// who passes the bytes on is switching.ts.
import type { ResponseHead } from './response-head.ts';

/** The type of CONNECT; those of Upgrade fields are lower case, so that no field can name it. */
export const CONNECT = 'CONNECT';

export interface UpgradeRule {
  readonly enabled: boolean;
  /** CONNECT ends here: its bytes go to the upstream without a request before them. */
  readonly ends: boolean;
}

/** By type, as RequestHead.upgrade has it. */
export type UpgradeRules = ReadonlyMap<string, UpgradeRule>;

/** What a route says counts before what its listener says; undefined: refused. */
export function upgradeRule(
  type: string,
  route: UpgradeRules | undefined,
  listener: UpgradeRules | undefined,
): UpgradeRule | undefined {
  const own = route?.get(type);
  if (own) return own.enabled ? own : undefined;
  const rule = listener?.get(type);
  return rule?.enabled ? rule : undefined;
}

/** True for the 101 that was asked for; a server may switch to nothing else. */
export function switchesTo(head: ResponseHead, type: string): boolean {
  return type !== '' && type !== CONNECT && head.upgrade === type;
}

/** What the response to CONNECT says of a body it cannot have (RFC 9110 §9.3.6). */
const FRAMING = ['content-length', 'transfer-encoding'];
const FRAMING_LINES = /\r\n(?:content-length|transfer-encoding): [^\r]*/g;

/** Makes the head of a response that leaves HTTP one that says so. */
export function tellSwitch(head: ResponseHead, type: string, field: string): void {
  if (type !== CONNECT) head.newFields += `\r\nconnection: upgrade\r\nupgrade: ${field}`;
  else {
    head.fields.dropNamed(FRAMING);
    head.newFields = head.newFields.replace(FRAMING_LINES, '');
  }
}
