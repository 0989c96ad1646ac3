import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { adminClient } from '../../../cli/client.ts';
import { errorText, exitCodeOf } from '../../../cli/exit.ts';
import { logDestination, logText } from '../../../cli/log-text.ts';
import { paint } from '../../../cli/paint.ts';
import { ignoreHangUp, stopOnSignals } from '../../../cli/signals.ts';
import { USAGE } from '../../../cli/usage.ts';
import { CONFIG_INVALID } from '../../../config/problems.ts';
import { ManualClock } from '../../../lib/clock.ts';
import { createLogger } from '../../../telemetry/logger.ts';

describe('how a command ends', () => {
  it('with a code for the kind of error', () => {
    expect(exitCodeOf(USAGE('x'))).toBe(2);
    expect(exitCodeOf(CONFIG_INVALID([]))).toBe(2);
    expect(exitCodeOf(new Error('x'))).toBe(1);
    expect(exitCodeOf('x')).toBe(1);
  });

  it('with a message, a hint and a code, never a stack', () => {
    expect(errorText(USAGE('--port: no'), false)).toBe(
      'error: --port: no (ISTHMUS_USAGE)\nSee `isthmus help COMMAND`.\n',
    );
    expect(errorText(new Error('a', { cause: new Error('b') }), false)).toBe('error: a: b\n');
    const problem = { origin: 'f.yaml', line: 1, column: 2, path: ['xds'], message: 'bad' };
    expect(errorText(CONFIG_INVALID([problem, problem]), true)).toBe(
      'f.yaml:1:2: xds: bad\nf.yaml:1:2: xds: bad\n',
    );
  });
});

describe('signals', () => {
  afterEach(() => vi.restoreAllMocks());

  function setup(hasTerminal = false) {
    const exits: (number | undefined)[] = [];
    vi.spyOn(process, 'exit').mockImplementation((code) => {
      exits.push(Number(code));
      return undefined as never;
    });
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const clock = new ManualClock();
    return { exits, clock, stop: stopOnSignals({ clock, withinMs: 5_000, hasTerminal }) };
  }

  it('the first stops in order, the same press again means nothing, a second press ends at once', () => {
    const { exits, clock, stop } = setup();
    expect(stop.signal.aborted).toBe(false);
    process.emit('SIGINT');
    expect(stop.signal.aborted).toBe(true);
    clock.advance(20);
    process.emit('SIGINT');
    expect(exits).toEqual([]);
    clock.advance(1_000);
    process.emit('SIGINT');
    process.emit('SIGTERM');
    expect(exits).toEqual([130, 143]);
    stop.release();
    expect(clock.pending).toBe(0);
    expect(process.listenerCount('SIGINT')).toBe(0);
  });

  it('a stop that hangs ends with 1', () => {
    const { exits, clock, stop } = setup();
    process.emit('SIGTERM');
    clock.advance(5_000);
    expect(exits).toEqual([1]);
    stop.release();
  });

  it('a hang-up without a terminal is said, and ends nothing; with one it ends in order', () => {
    const lines: string[] = [];
    const log = createLogger('info', { write: (line) => lines.push(line) });
    const without = setup(false);
    const off = ignoreHangUp(log, 'files are followed', false);
    process.emit('SIGHUP');
    expect(without.stop.signal.aborted).toBe(false);
    expect(lines.join('')).toContain('files are followed');
    off();
    without.stop.release();
    const within = setup(true);
    const none = ignoreHangUp(log, 'files are followed', true);
    process.emit('SIGHUP');
    expect(within.stop.signal.aborted).toBe(true);
    none();
    within.stop.release();
    expect(lines).toHaveLength(1);
    expect(process.listenerCount('SIGHUP')).toBe(0);
  });
});

describe('the log', () => {
  it('is text on a terminal, JSON elsewhere', () => {
    const lines: string[] = [];
    const to = (isTTY: boolean) =>
      logDestination({ isTTY, write: (line) => lines.push(line) }, { NO_COLOR: '1' });
    createLogger('info', to(true)).warn(
      { source: 'vms', cause: 'not there', n: 2, err: new Error('x y') },
      'source is stale',
    );
    createLogger('info', to(false)).warn({ source: 'vms' }, 'source is stale');
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d warn {2}source is stale {2}source=vms {2}cause="not there" {2}n=2 {2}err="x y"\n$/,
    );
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ level: 'warn', msg: 'source is stale' });
  });

  it('shows a line that is no JSON as it is', () => {
    expect(logText('hello\n', paint(false))).toBe('hello\n');
  });
});

describe('asking a server that is something else', () => {
  async function answering(status: number, body: string): Promise<string> {
    const server = createServer((_, response) => void response.writeHead(status).end(body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const base = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      await adminClient(base).list('/api/v1/sources');
      return 'no error';
    } catch (error) {
      return (error as { code: string }).code;
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  it.each([
    [200, '<html>', 'ISTHMUS_SERVER_UNREACHABLE'],
    [200, '{}', 'ISTHMUS_SERVER_UNREACHABLE'],
    [404, '[]', 'ISTHMUS_SERVER_UNREACHABLE'],
    [200, '{"items": []}', 'no error'],
    [404, '{"error": {"message": "there is no page"}}', 'ISTHMUS_SERVER_REFUSED'],
  ])('%i %s → %s', async (status, body, code) => {
    expect(await answering(status, body)).toBe(code);
  });

  it('an address that is none is wrong usage', () => {
    expect(() => adminClient('http://[')).toThrow('--server');
  });
});
