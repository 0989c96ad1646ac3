import { expect, test } from 'vitest';
import { encode, packAny } from '../../../proto/codec.ts';
import { toJson } from '../../../proto/json.ts';

test('a Struct is the JSON that it stands for, however deep, also inside an Any', () => {
  const fields = {
    text: { stringValue: 'a' },
    zero: { numberValue: 0 },
    no: { boolValue: false },
    nothing: { nullValue: 'NULL_VALUE' },
    list: { listValue: { values: [{ numberValue: 1.5 }, { structValue: { fields: {} } }] } },
    inner: { structValue: { fields: { '': { stringValue: '' } } } },
  };
  const json = { text: 'a', zero: 0, no: false, nothing: null, list: [1.5, {}], inner: { '': '' } };
  expect(toJson('google.protobuf.Struct', encode('google.protobuf.Struct', { fields }))).toEqual(json);
  const typed_config = packAny('xds.type.v3.TypedStruct', { type_url: 'x/y', value: { fields } });
  const extension = 'envoy.config.core.v3.TypedExtensionConfig';
  expect(toJson(extension, encode(extension, { name: 'n', typed_config }))).toEqual({
    name: 'n',
    typed_config: { '@type': 'type.googleapis.com/xds.type.v3.TypedStruct', type_url: 'x/y', value: json },
  });
});
