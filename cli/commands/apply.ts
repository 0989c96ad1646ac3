// `isthmus apply|delete -f FILE`: resources of a running control plane, one by one. What is wrong in the files is
// told before anything is sent; what the server refuses does not keep back the rest.
import type { ResourceAppliedJson, ResourceDeletedJson } from '../../admin/types.ts';
import { loadResources, refText } from '../../config/resources.ts';
import type { FoundResource } from '../../config/resources.ts';
import { IsthmusError } from '../../lib/errors.ts';
import { DEFAULT_RULES } from '../../model/rules.ts';
import { adminClient } from '../client.ts';
import { EXIT, errorText } from '../exit.ts';
import { tokenFrom, whoami } from '../operator.ts';
import type { OperatorFlags } from '../operator.ts';
import { write } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';

export interface FileFlags extends OperatorFlags {
  /** A file or a directory. */
  readonly file: string;
}

export interface DeleteFlags extends FileFlags {
  readonly ignoreNotFound?: boolean;
}

/** Creates what is not there and changes what is; last writer wins, as a file says the whole. */
export async function apply(flags: FileFlags): Promise<void> {
  const client = adminClient(flags.server);
  await forEach(flags, async (found, token) => {
    const { outcome, resource, notes } = await client.send<ResourceAppliedJson>(
      'PUT',
      pathOf(found),
      found.document,
      token,
    );
    write(`${refText(found)} ${outcome}\n`);
    for (const note of [...notes, ...(resource?.problem ? [resource.problem] : [])]) tell(note);
  });
}

export async function deleteResources(flags: DeleteFlags): Promise<void> {
  const client = adminClient(flags.server);
  await forEach(flags, async (found, token) => {
    try {
      const { notes } = await client.send<ResourceDeletedJson>('DELETE', pathOf(found), {}, token);
      write(`${refText(found)} deleted\n`);
      for (const note of notes) tell(note);
    } catch (thrown) {
      const isAbsent = thrown instanceof IsthmusError && thrown.code === 'ISTHMUS_ADMIN_NOT_FOUND';
      if (!isAbsent || flags.ignoreNotFound !== true) throw thrown;
      write(`${refText(found)} not found\n`);
    }
  });
}

/** These answers are about one resource; all others would be the same for each. */
const ABOUT_ONE = [
  'ISTHMUS_RESOURCE_REFUSED',
  'ISTHMUS_RESOURCE_IN_FILE',
  'ISTHMUS_REVISION_CONFLICT',
  'ISTHMUS_ADMIN_NOT_FOUND',
  'ISTHMUS_ADMIN_BODY',
];

async function forEach(
  flags: FileFlags,
  work: (found: FoundResource, token: string | undefined) => Promise<void>,
): Promise<void> {
  const { found } = await loadResources([flags.file], { base: DEFAULT_RULES });
  const token = await tokenFrom(flags);
  for (const each of found) {
    try {
      await work(each, token);
    } catch (thrown) {
      if (!(thrown instanceof IsthmusError) || !ABOUT_ONE.includes(thrown.code)) throw thrown;
      process.stderr.write(errorText(thrown, wantsColour(process.stderr, process.env)));
      process.exitCode = EXIT.failure;
    }
  }
  if (found.length === 0) tell(`${flags.file}: no resource in it`);
}

const pathOf = ({ kind, namespace, name }: FoundResource): string =>
  `/api/v1/resources/${[kind, namespace, name].map(encodeURIComponent).join('/')}?by=${encodeURIComponent(whoami())}`;

function tell(note: string): void {
  const pen = paint(wantsColour(process.stderr, process.env));
  process.stderr.write(`${pen('yellow', 'note:')} ${note}\n`);
}
