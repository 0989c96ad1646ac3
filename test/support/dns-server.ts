// A name server for tests, over UDP on loopback (RFC 1035 §4): answers A, AAAA and SRV from a table, and
// does wrong when it is told to.
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';

export type DnsRecord =
  | { readonly type: 'A'; readonly address: string; readonly ttl?: number }
  | { readonly type: 'AAAA'; readonly address: string; readonly ttl?: number }
  | {
      readonly type: 'SRV';
      readonly priority?: number;
      readonly weight?: number;
      readonly port: number;
      readonly target: string;
    };

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const;

export class DnsServer {
  /** By name in lower case; a name that is not here does not exist. */
  readonly zone = new Map<string, readonly DnsRecord[]>();
  /** `A orders.internal`, … in the order of asking. */
  readonly asked: string[] = [];
  /** Response codes by name, '*' for all: 2 SERVFAIL, 5 REFUSED. */
  readonly codes = new Map<string, number>();
  /** Takes questions and says nothing, or rubbish. */
  mood: 'good' | 'silent' | 'rubbish' = 'good';
  #socket: Socket | undefined;
  #port = 0;

  /** The second time on the same port. */
  async start(): Promise<string> {
    const socket = createSocket('udp4');
    socket.on('message', (message, from) => {
      const reply = this.#answer(message);
      if (reply) socket.send(reply, from.port, from.address);
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(this.#port, '127.0.0.1', resolve);
    });
    this.#socket = socket;
    this.#port = socket.address().port;
    return `127.0.0.1:${this.#port}`;
  }

  async stop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) await new Promise<void>((resolve) => socket.close(resolve));
  }

  #answer(message: Buffer): Buffer | undefined {
    const labels: string[] = [];
    let at = 12;
    for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
      labels.push(message.toString('latin1', at + 1, at + 1 + length));
      at += length + 1;
    }
    const name = labels.join('.').toLowerCase();
    const type = message.readUInt16BE(at + 1);
    const question = message.subarray(12, at + 5);
    this.asked.push(`${Object.entries(TYPES).find(([, number]) => number === type)?.[0] ?? type} ${name}`);
    if (this.mood === 'silent') return undefined;
    if (this.mood === 'rubbish') return Buffer.from('rubbish');
    const records = this.zone.get(name);
    const code = this.codes.get(name) ?? this.codes.get('*') ?? (records ? 0 : 3);
    const found = code === 0 ? (records ?? []).filter((record) => TYPES[record.type] === type) : [];
    const head = Buffer.alloc(12);
    message.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8580 | code, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(found.length, 6);
    return Buffer.concat([head, question, ...found.map(encodeRecord)]);
  }
}

function encodeRecord(record: DnsRecord): Buffer {
  const data = encodeData(record);
  const head = Buffer.alloc(12);
  // A pointer to the name in the question.
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(TYPES[record.type], 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(record.type === 'SRV' ? 1 : (record.ttl ?? 0), 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeData(record: DnsRecord): Buffer {
  if (record.type === 'A') return Buffer.from(record.address.split('.').map(Number));
  if (record.type === 'AAAA') {
    const [left = '', right = ''] = record.address.split('::');
    const words = (text: string) => text.split(':').filter((word) => word !== '');
    const zeros = Array<string>(8 - words(left).length - words(right).length).fill('0');
    const all = [...words(left), ...zeros, ...words(right)];
    return Buffer.from(all.map((word) => word.padStart(4, '0')).join(''), 'hex');
  }
  const { priority = 0, weight = 0, port, target } = record;
  const head = Buffer.alloc(6);
  [priority, weight, port].forEach((value, index) => head.writeUInt16BE(value, 2 * index));
  const labels = target.split('.').filter((label) => label !== '');
  const name = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([head, ...name, Buffer.from([0])]);
}
