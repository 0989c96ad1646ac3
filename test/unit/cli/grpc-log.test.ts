import { Server, ServerCredentials, setLogger } from '@grpc/grpc-js';
import { afterEach, expect, test, vi } from 'vitest';
import { takeGrpcLog } from '../../../cli/grpc-log.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { LISTEN_FAILED, asSystemSaid } from '../../../xds-server/listen-failed.ts';
import { describeError } from '../../../lib/errors.ts';

afterEach(() => setLogger(console));

const bind = (server: Server, port: number) =>
  new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });

test('a taken port: nothing beside our log, and an error in the words of the system', async () => {
  const raw = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]);
  takeGrpcLog(createLogger('debug', { write }), {});
  const [first, second] = [new Server(), new Server()];
  const port = await bind(first, 0);
  const error = await bind(second, port).then(
    () => new Error('it was bound twice'),
    (thrown: unknown) => LISTEN_FAILED.from(asSystemSaid(thrown), 'xDS', `127.0.0.1:${port}`),
  );
  first.forceShutdown();
  second.forceShutdown();
  expect(describeError(error)).toBe(
    `cannot listen for xDS on 127.0.0.1:${port}: listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
  );
  expect(lines.map(({ level, msg }) => `${String(level)} ${String(msg)}`)).toContain('debug gRPC');
  expect(raw).not.toHaveBeenCalled();
});
