import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { systemClock } from '../../../lib/clock.ts';
import { Listening } from '../../../proxy/listening.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { eventually } from '../../support/eventually.ts';

it('a taken address is told once, with what to do, and had as soon as it is free', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const lines: Record<string, unknown>[] = [];
  let tries = 0;
  const listening = new Listening({
    address: '127.0.0.1',
    port,
    direction: 'outbound',
    clock: {
      ...systemClock,
      after(ms, work) {
        tries += 1;
        return systemClock.after(ms / 100, work);
      },
    },
    log: createLogger('info', { write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[0]) }),
    onConnection: (socket) => socket.destroy(),
  });
  await listening.tried;
  await eventually(() => tries >= 3);
  expect(lines).toMatchObject([
    {
      code: 'ISTHMUS_PROXY_LISTEN',
      port,
      cause: expect.stringContaining('EADDRINUSE') as string,
      hint: expect.stringContaining('--outbound') as string,
    },
  ]);
  await new Promise((resolve) => other.close(resolve));
  await eventually(() => listening.address?.port === port);
  expect(lines).toHaveLength(2);
  listening.stop();
});
