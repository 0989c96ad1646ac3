// docs/tutorials/vm-to-kubernetes.md is followed from its first command to its last: a true Consul that the page itself
// starts, a true kube-apiserver with its controllers, pods that really run. What it shows is what was printed.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { mainFile } from '../support/isthmus.ts';
import { kubeApi } from '../support/kube-api.ts';
import { noController, startController } from '../support/kube-controller.ts';
import { startKubelet } from '../support/kubelet.ts';
import type { Kubelet } from '../support/kubelet.ts';
import { noPodNetwork } from '../support/netns.ts';
import { isShown, stepsOf } from '../support/page.ts';
import type { Step } from '../support/page.ts';
import { findBinary } from '../support/peers.ts';
import { startShell } from '../support/shell.ts';
import type { Shell } from '../support/shell.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGE = 'docs/tutorials/vm-to-kubernetes.md';
const STEP_MS = 240_000;
/** Three minutes, of which one is for waiting until the gates have held; a busy machine takes longer. */
const ALL_MS = 1_200_000;
/** A build wants a core for half a minute. */
const INSTALL_MS = 600_000;
const FAILED = '<<failed>>';
/** Every line: its answer may take some seconds to be as shown. */
const ONLY_ASKS =
  /^(?:(?:isthmus (?:get|history|migrate (?:plan|status|retire)) (?!.*(?:-w|--confirm)$).*|tail .*|echo .*)\n)+$/;
const CONTROLLERS = ['deployment', 'replicaset', 'endpointslice'].map((name) => `${name}-controller`);

const isProcess = inject('peers').consul.mode === 'process' && inject('peers').kubernetes.mode === 'process';
const alsoNot = [
  isProcess ? noPodNetwork() : 'servers are not processes',
  noController(),
  findBinary('kubectl') ? undefined : 'no kubectl',
];

describePeers(
  ['consul', 'kubernetes'],
  PAGE,
  (start) => {
    let home: string;
    let shell: Shell;
    let kubelet: Kubelet;
    const closers: (() => Promise<unknown>)[] = [];

    beforeAll(async () => {
      home = await mkdtemp(join(tmpdir(), 'isthmus-tutorial-'));
      closers.push(() => rm(home, { recursive: true, force: true }));
      const kube = await start('kubernetes');
      const controller = await startController(kube, CONTROLLERS);
      closers.push(() => controller.stop());
      const api = kubeApi(kube);
      closers.push(() => api.close());
      kubelet = await startKubelet(api);
      closers.push(() => kubelet.stop());
      const programs = join(home, 'programs');
      const { stdout } = await promisify(execFile)('npm', ['config', 'get', 'cache'], { cwd: ROOT });
      shell = await startShell(home, {
        ...process.env,
        HOME: home,
        PATH: [join(programs, 'bin'), dirname(findBinary('consul') ?? ''), process.env['PATH'] ?? ''].join(
          delimiter,
        ),
        KUBECONFIG: kube.kubeconfigFile,
        NO_COLOR: '1',
        npm_config_prefix: programs,
        npm_config_cache: stdout.trim(),
        // There is no network in here.
        npm_config_offline: 'true',
      });
      closers.push(() => shell.stop());
    }, STEP_MS);
    afterAll(async () => {
      for (const close of closers.reverse()) await close();
    }, STEP_MS);

    it('does what it says', { timeout: ALL_MS }, async () => {
      const steps = stepsOf(await readFile(join(ROOT, PAGE), 'utf8'));
      expect(steps.length).toBeGreaterThan(20);
      const copy = join(home, 'isthmus');
      await copyRepository(copy);
      await shell.run(`set -E; trap 'echo "${FAILED} $BASH_COMMAND"' ERR; cd ${copy}`, STEP_MS);
      const [install, ...rest] = steps;
      if (install) await installed(install);
      for (const step of rest) await follow(step);
    });

    /** In the namespace is no network: npm has what its cache has, or else this build counts. */
    async function installed(step: Step): Promise<void> {
      const { output } = await shell.run(step.commands, INSTALL_MS);
      if (!output.includes(FAILED)) return;
      expect(output).toContain('ENOTCACHED');
      await mkdir(join(home, 'programs/bin'), { recursive: true });
      await symlink(mainFile(), join(home, 'programs/bin/isthmus'));
    }

    /** Does the step, and compares what is printed. What only asks is asked until it is so. */
    async function follow({ line, commands, shown }: Step): Promise<void> {
      const once = async () => {
        const { output } = await shell.run(commands, STEP_MS);
        const said = output.replaceAll(new RegExp(`^${FAILED}.*\\n`, 'gm'), '');
        const isFine = commands.includes('exit code $?') || said === output;
        const isSo = isFine && (shown === undefined || isShown(shown, said));
        if (!isSo) {
          const told = `${PAGE}:${line}\n${commands}--- shows\n${shown ?? '(anything)'}--- printed\n${output}`;
          throw new Error(`${told}\n--- pods\n${kubelet.log()}`);
        }
        return true;
      };
      await (ONLY_ASKS.test(commands) ? eventually(once, { withinMs: STEP_MS, everyMs: 500 }) : once());
    }
  },
  alsoNot,
);

/** As somebody gets it: without what is installed, built, or of git. */
async function copyRepository(to: string): Promise<void> {
  const own = /^(?:node_modules|dist|isthmus-data|\.git|proto\/gen)$/;
  await cp(ROOT, to, { recursive: true, filter: (path) => !own.test(relative(ROOT, path)) });
}
