// npm run soak -- NAME…: lets things go wrong at random for a long time and watches that nothing is lost. Exit
// code 0: nothing was; 1: something was, or it was interrupted; 2: wrong arguments. Only loopback.
import { parseArgs } from 'node:util';
import { describeError } from '../../lib/errors.ts';
import { proxy } from './proxy.ts';
import { sources } from './sources.ts';
import type { Soak, SoakOptions } from './types.ts';

const SOAKS: Readonly<Record<string, Soak>> = { sources, proxy };

const HELP = `npm run soak -- NAME [options]

${Object.entries(SOAKS)
  .map(([name, { title, kinds }]) => `  ${name}: ${title}\n    kinds: ${kinds.join(', ')}`)
  .join('\n')}

  --minutes N     how long, default 30
  --seed N        the same changes and faults again; default: drawn, and printed
  --kinds A,B     only these
  --envoy         an Envoy beside the bundled proxy (proxy)
  --verbose       a line for every step
`;

interface Arguments extends SoakOptions {
  readonly soak: Soak;
}

function readArguments(): Arguments {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '30' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      kinds: { type: 'string' },
      envoy: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
    },
  });
  const [name = '', ...more] = positionals;
  const soak = SOAKS[name];
  if (!soak || more.length > 0) throw new Error(`name one soak: ${Object.keys(SOAKS).join(', ')}`);
  const minutes = Number(values.minutes);
  const seed = Number(values.seed);
  if (!(minutes > 0 && minutes <= 24 * 60)) throw new Error(`--minutes ${values.minutes}: 0 to 1440`);
  if (!Number.isInteger(seed)) throw new Error(`--seed ${values.seed}: a whole number`);
  const kinds = values.kinds?.split(',') ?? soak.kinds;
  const unknown = kinds.filter((kind) => !soak.kinds.includes(kind));
  if (unknown.length > 0) throw new Error(`no kind ${unknown.join(', ')}`);
  const began = performance.now();
  const say = (text: string) => {
    const at = Math.round((performance.now() - began) / 1_000);
    process.stdout.write(
      `[${String(Math.floor(at / 60)).padStart(2)}:${String(at % 60).padStart(2, '0')}] ${text}\n`,
    );
  };
  const { envoy, verbose } = values;
  return { soak, minutes, seed, kinds, envoy, verbose, say };
}

async function main(args: Arguments): Promise<number> {
  const stop = new AbortController();
  const onSignal = () => stop.abort(new Error('interrupted'));
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const { minutes, seed, kinds, say } = args;
  say(`seed ${seed}, ${minutes} minutes, ${kinds.join(', ')}; Node ${process.version}`);
  const good = await args.soak.run(args, stop.signal);
  say(`${good ? 'PASSED' : 'FAILED'}; again: --minutes ${minutes} --seed ${seed} --kinds ${kinds.join(',')}`);
  return good ? 0 : 1;
}

let args: Arguments | undefined;
try {
  args = readArguments();
} catch (thrown) {
  process.stderr.write(`${describeError(thrown)}\n\n${HELP}`);
  process.exitCode = 2;
}
if (args) {
  // The servers' own processes end with this one.
  process.exit(
    await main(args).catch((thrown: unknown) => {
      process.stderr.write(`it could not be run: ${describeError(thrown)}\n`);
      return 1;
    }),
  );
}
