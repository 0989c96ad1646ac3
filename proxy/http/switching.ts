// A request that asks to leave HTTP, and the bytes that pass once it has. What the client sends before the answer
// is kept and held back: an upstream that goes on speaking HTTP must not take it for a second request. Belongs
// to an exchange and is used again for its next request.
import type { Route } from '../route.ts';
import type { HttpRules } from '../tables.ts';
import type { Attempt } from './attempt.ts';
import type { Client } from './client.ts';
import type { RequestBody } from './request-body.ts';
import type { RequestHead } from './request-head.ts';
import { ResponseHead, forwardedResponse, parseResponseHead } from './response-head.ts';
import { CONNECT, tellSwitch, upgradeRule } from './upgrade.ts';

const NO_BYTES = Buffer.alloc(0);
/** The answer to a CONNECT that ends here. */
const ESTABLISHED = new ResponseHead();

export class Switching {
  #field = '';
  /** '' for a request that stays HTTP. */
  type = '';
  /** It is a CONNECT that ends here. */
  ends = false;
  /** Bytes pass both ways. */
  open = false;

  /** False when the request must be refused. */
  begin(head: RequestHead, route: Route | undefined, http: HttpRules, client: Client): boolean {
    this.type = head.upgrade;
    this.open = false;
    this.ends = false;
    // What is not routed at all is not found, as in Envoy; the caller sees to that.
    if (head.upgrade === '' || (head.upgrade === CONNECT && !route)) return true;
    const rule = upgradeRule(head.upgrade, route?.upgrades, http.upgrades);
    client.upgrade(rule !== undefined);
    this.#field = head.upgradeField;
    this.ends = rule?.ends === true;
    return rule !== undefined;
  }

  /** The upstream must be asked, too. */
  tellUpstream(head: RequestHead): void {
    if (this.type !== '' && this.type !== CONNECT) {
      head.newFields += `\r\nconnection: upgrade\r\nupgrade: ${this.#field}`;
    }
  }

  /** There is a connection. */
  ready(attempt: Attempt, head: string): void {
    if (!this.ends) return attempt.ask(head, this.type);
    attempt.tunnel();
    parseResponseHead('HTTP/1.1 200 OK', ESTABLISHED);
    attempt.onResponse(ESTABLISHED, NO_BYTES, 0, 0, false);
  }

  /** @param done the client will send no more. */
  fromClient(attempt: Attempt, body: RequestBody, client: Client, bytes: Buffer | undefined, done: boolean) {
    if (this.open) {
      if (!attempt.pass(bytes, done) && !done) client.holdBody();
    } else {
      body.add(bytes, false);
      client.holdBody();
    }
  }

  /** The upstream has left HTTP. */
  switched(attempt: Attempt, body: RequestBody, client: Client, head: ResponseHead): string {
    this.open = true;
    tellSwitch(head, this.type, this.#field);
    const early = body.take();
    body.forget();
    if (early && !attempt.pass(early, false)) client.holdBody();
    else client.releaseBody();
    return forwardedResponse(head, false);
  }
}
