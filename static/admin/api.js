// The administrators' API, and the credential that it wants.

const KEY = "gateway-admin-token";

const TIMEOUT = 30_000;

/** An answer that is no success: the HTTP status, the gateway's word for it, and its sentence. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = "Refused";
    this.status = status;
    this.code = code;
  }

  /** Whether signing in could help. */
  get isAboutSignIn() {
    return this.status === 401 || this.status === 403;
  }
}

/** The pasted access token; null where the session cookie is all there is. */
export function token() {
  return sessionStorage.getItem(KEY);
}

export function keepToken(text) {
  sessionStorage.setItem(KEY, text);
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

/** The content of `/api/admin/…`, or a `Refused`. */
export async function read(path, parameters = {}) {
  return (await answer(`${path}${query(parameters)}`)).json();
}

/** A picture of `/api/admin/…` as a Blob. */
export async function readPicture(path, parameters = {}) {
  return (await answer(`${path}${query(parameters)}`)).blob();
}

export async function post(path, content = {}) {
  const headers = { "Content-Type": "application/json" };
  return (await answer(path, { method: "POST", headers, body: JSON.stringify(content) })).json();
}

async function answer(path, { headers = {}, ...options } = {}) {
  const bearer = token();
  const response = await fetch(`/api/admin/${path}`, {
    ...options,
    signal: AbortSignal.timeout(TIMEOUT),
    headers: { ...headers, ...(bearer && { Authorization: `Bearer ${bearer}` }) },
  });
  if (response.ok) return response;
  const content = await response.json().catch(() => ({}));
  throw new Refused(response.status, content.code, content.error ?? `The gateway answered ${response.status}.`);
}

function query(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value);
  return set.length ? `?${new URLSearchParams(set)}` : "";
}
