// One answer of the admin API.

export interface Page {
  readonly status: number;
  readonly body: string;
  readonly type: string;
}

export const text = (body: string, status = 200): Page => ({
  status,
  body,
  type: 'text/plain; charset=utf-8',
});

export const json = (value: object): Page => ({
  status: 200,
  body: `${JSON.stringify(value, null, 1)}\n`,
  type: 'application/json',
});
