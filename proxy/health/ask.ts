// Asks one host one question, over HTTP/1.1, TCP or gRPC, and tells once what it found. Sets no timer: whoever asks
// gives up by calling what ask() returned. Reads no more of an answer than it has to.
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect as connectHttp2, constants } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import { BAD, SILENT, WELL } from './rules.ts';
import type { CheckPlace, Finding, GrpcQuestion, HttpQuestion, Question, TcpQuestion } from './rules.ts';

/** The name that a sidecar answers in. */
const NAMED = 'x-envoy-upstream-healthchecked-cluster';
const MISDIRECTED = 421;
/** So much of an answer is read before the connection is cut. */
const MOST_BYTES = 65_536;

/** What is kept between checks of one host; closed when there are no more. */
export class Line {
  agent: Agent | undefined;
  session: ClientHttp2Session | undefined;

  close(): void {
    this.agent?.destroy();
    this.session?.destroy();
    this.agent = undefined;
    this.session = undefined;
  }
}

/** @param tell called at most once, never before this returns. Returned: gives up; nothing is told then. */
export function ask(
  question: Question,
  place: CheckPlace,
  line: Line | undefined,
  tell: (finding: Finding) => void,
): () => void {
  let isTold = false;
  let isUnwanted = false;
  let end: () => void = () => undefined;
  const once = (finding: Finding) => {
    if (isTold) return;
    isTold = true;
    // Not within the event of a socket: who is told may end what is told of.
    setImmediate(() => {
      if (!isUnwanted) tell(finding);
    });
  };
  try {
    end = begin(question, place, line, once);
  } catch {
    // What cannot be asked, such as a header that no head can carry, is answered by nobody.
    once(SILENT);
  }
  return () => {
    isUnwanted = true;
    end();
  };
}

type Tell = (finding: Finding) => void;

function begin(question: Question, place: CheckPlace, line: Line | undefined, tell: Tell): () => void {
  switch (question.kind) {
    case 'http':
      return askHttp(question, place, line, tell);
    case 'tcp':
      return askTcp(question, place, tell);
    case 'grpc':
      return askGrpc(question, place, line, tell);
  }
}

function askHttp(question: HttpQuestion, place: CheckPlace, line: Line | undefined, tell: Tell): () => void {
  if (line) line.agent ??= new Agent({ keepAlive: true, maxSockets: 1 });
  const headers: Record<string, string> = {
    host: question.host || place.host,
    'user-agent': 'isthmus-health',
    ...(line ? {} : { connection: 'close' }),
  };
  for (const [name, value] of question.headers) headers[name] = value;
  for (const name of question.without) Reflect.deleteProperty(headers, name);
  const outgoing = request({
    host: place.address,
    port: place.port,
    path: question.path,
    method: question.method,
    headers,
    agent: line?.agent ?? false,
  });
  outgoing.on('response', (response) => {
    tell(judgeHttp(question, response));
    letGo(response);
  });
  outgoing.on('error', () => tell(SILENT));
  outgoing.on('close', () => tell(SILENT));
  outgoing.end();
  return () => outgoing.destroy();
}

function judgeHttp(question: HttpQuestion, response: IncomingMessage): Finding {
  const status = response.statusCode ?? 0;
  const header = response.headers[NAMED];
  const name = (Array.isArray(header) ? header[0] : header) ?? '';
  const facts = {
    name,
    excluded: response.headers['x-envoy-immediate-health-check-fail'] !== undefined,
    misdirected: status === MISDIRECTED,
  };
  if (!question.expects(status)) return { ...BAD, ...facts, mayBeChance: question.retries(status) };
  if (question.named && !question.named(name)) return { ...BAD, ...facts };
  return { ...WELL, ...facts, degraded: response.headers['x-envoy-degraded'] !== undefined };
}

function letGo(response: IncomingMessage): void {
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) response.destroy();
  });
  response.on('error', () => response.destroy());
}

function askTcp({ send, receive }: TcpQuestion, place: CheckPlace, tell: Tell): () => void {
  const socket = connect({ host: place.address, port: place.port });
  let heard = Buffer.alloc(0);
  const done = (finding: Finding) => {
    tell(finding);
    socket.destroy();
  };
  socket.on('connect', () => {
    if (send.length > 0) socket.write(send);
    if (send.length === 0 || receive.length === 0) done(WELL);
  });
  socket.on('data', (bytes: Buffer) => {
    heard = Buffer.concat([heard, bytes]);
    if (holds(heard, receive)) done(WELL);
    else if (heard.length > MOST_BYTES) done(SILENT);
  });
  socket.on('error', () => done(SILENT));
  socket.on('close', () => tell(SILENT));
  return () => socket.destroy();
}

/** All parts, in order, anything between them. */
export function holds(heard: Buffer, parts: readonly Buffer[]): boolean {
  let from = 0;
  for (const part of parts) {
    const at = heard.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return true;
}

/** HealthCheckResponse.status = 1 (SERVING), of grpc.health.v1. */
const SERVING = 1;

function askGrpc(question: GrpcQuestion, place: CheckPlace, line: Line | undefined, tell: Tell): () => void {
  const host = place.address.includes(':') ? `[${place.address}]` : place.address;
  const kept = line?.session && !line.session.closed && !line.session.destroyed ? line.session : undefined;
  const session = kept ?? connectHttp2(`http://${host}:${place.port}`);
  if (line) line.session = session;
  // A session of several checks hears of its end from each of them.
  const onGone = () => tell(SILENT);
  session.once('error', onGone);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    ':authority': question.authority || place.host,
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'isthmus-health',
    ...Object.fromEntries(question.headers),
  });
  const end = () => {
    session.off('error', onGone);
    if (!line) session.close();
  };
  let body = Buffer.alloc(0);
  let status = '';
  let code = 0;
  stream.on('response', (headers) => {
    code = Number(headers[':status'] ?? 0);
    status = textOf(headers['grpc-status']);
  });
  stream.on('trailers', (trailers) => {
    status = textOf(trailers['grpc-status']);
  });
  stream.on('data', (bytes: Buffer) => {
    if (body.length < MOST_BYTES) body = Buffer.concat([body, bytes]);
  });
  stream.on('error', () => tell(SILENT));
  stream.on('close', () => {
    tell(code === 0 ? SILENT : code === 200 && status === '0' && isServing(body) ? WELL : BAD);
    end();
  });
  stream.end(healthRequest(question.service));
  return () => {
    stream.close(constants.NGHTTP2_CANCEL);
    end();
    if (!line) session.destroy();
  };
}

const textOf = (value: string | string[] | undefined): string =>
  (Array.isArray(value) ? value[0] : value) ?? '';

/** HealthCheckRequest { service 1 } behind the five bytes of a gRPC message. */
function healthRequest(service: string): Buffer {
  const name = Buffer.from(service.slice(0, 120));
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

/** HealthCheckResponse { status 1 }: one varint. */
const isServing = (frame: Buffer): boolean => frame.length >= 7 && frame[5] === 0x08 && frame[6] === SERVING;
