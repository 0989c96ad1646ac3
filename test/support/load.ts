// A caller that never stops calling: a bounded, steady load through a data plane that counts who answered
// and remembers every failure.
import { Agent, request } from 'node:http';

export interface Load {
  /** Answers by backend name since the last mark(). */
  answers(): ReadonlyMap<string, number>;
  /** Requests answered 200 since the last mark(). */
  good(): number;
  /** Every failure since the start, with its time. */
  failures(): readonly string[];
  /** Forgets the counts of answers, not the failures. */
  mark(): void;
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly port: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Requests per second over all callers. Default 200. */
  readonly rate?: number;
  /** Connections. Default 8. */
  readonly callers?: number;
  /** It stops by itself after this. Default 600,000 ms. */
  readonly maxMs?: number;
}

export function startLoad(options: LoadOptions): Load {
  const { port, headers, rate = 200, callers = 8, maxMs = 600_000 } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const failures: string[] = [];
  const counts = new Map<string, number>();
  const end = Date.now() + maxMs;
  let stopped = false;

  const caller = async () => {
    while (!stopped && Date.now() < end) {
      const started = performance.now();
      const outcome = await call(agent, port, headers);
      if (outcome.ok) counts.set(outcome.text, (counts.get(outcome.text) ?? 0) + 1);
      else failures.push(`${new Date().toISOString()} ${outcome.text}`);
      const rest = (callers * 1000) / rate - (performance.now() - started);
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
  };
  const running = Promise.all(Array.from({ length: callers }, caller));
  return {
    answers: () => new Map(counts),
    good: () => [...counts.values()].reduce((sum, n) => sum + n, 0),
    failures: () => [...failures],
    mark: () => counts.clear(),
    async stop() {
      stopped = true;
      await running;
      agent.destroy();
    },
  };
}

/** `n` requests, `callers` at a time; who answered how often. Rejects on the first that is not a 200. */
export async function burst(options: LoadOptions, n: number): Promise<Map<string, number>> {
  const { port, headers, callers = 8 } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const counts = new Map<string, number>();
  let left = n;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      const outcome = await call(agent, port, headers);
      if (!outcome.ok) throw new Error(outcome.text);
      counts.set(outcome.text, (counts.get(outcome.text) ?? 0) + 1);
    }
  };
  try {
    await Promise.all(Array.from({ length: callers }, caller));
  } finally {
    agent.destroy();
  }
  return counts;
}

interface Outcome {
  readonly ok: boolean;
  readonly text: string;
}

function call(agent: Agent, port: number, headers: Readonly<Record<string, string>>): Promise<Outcome> {
  return new Promise((resolve) => {
    const failed = (what: string) => resolve({ ok: false, text: what });
    const out = request({ host: '127.0.0.1', port, path: '/', headers, agent, timeout: 10_000 }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (body += chunk));
      answer.on('end', () =>
        answer.statusCode === 200
          ? resolve({ ok: true, text: body })
          : failed(`HTTP ${answer.statusCode}: ${body.slice(0, 200)}`),
      );
      answer.on('error', (error) => failed(`broken answer: ${error.message}`));
    });
    out.on('timeout', () => out.destroy(new Error('no answer within 10 s')));
    out.on('error', (error) => failed(error.message));
    out.end();
  });
}
