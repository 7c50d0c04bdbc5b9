// The administrators' API, and the credential that it wants.
import { errorOf } from "../gateway.js";

const STORAGE_KEY = "gateway-admin-token";

/** Milliseconds. */
const TIMEOUT = 30_000;

/** @typedef {Record<string, string|number|null|undefined>} Parameters */

/** The pasted access token; null where the session cookie is all there is. */
export function token() {
  return sessionStorage.getItem(STORAGE_KEY);
}

/** @param {string} text */
export function storeToken(text) {
  sessionStorage.setItem(STORAGE_KEY, text);
}

export function clearToken() {
  sessionStorage.removeItem(STORAGE_KEY);
}

/**
 * The content of `/api/admin/…`; a `GatewayError` where it is refused.
 * @template T
 * @param {string} path
 * @param {Parameters} [parameters]
 * @returns {Promise<T>}
 */
export async function get(path, parameters = {}) {
  const response = await request(`/api/admin/${path}${query(parameters)}`);
  /** @type {unknown} */
  const answer = await response.json();
  return /** @type {T} */ (answer);
}

/**
 * A file of `/api/admin/…`.
 * @param {string} path
 * @param {Parameters} [parameters]
 */
export async function getFile(path, parameters = {}) {
  const response = await request(`/api/admin/${path}${query(parameters)}`);
  return response.blob();
}

/**
 * @template T
 * @param {string} path
 * @param {Record<string, unknown>} [content]
 * @returns {Promise<T>}
 */
export function post(path, content = {}) {
  return postTo(`/api/admin/${path}`, content);
}

/**
 * @template T
 * @param {string} url
 * @param {Record<string, unknown>} [content]
 * @returns {Promise<T>}
 */
export async function postTo(url, content = {}) {
  const headers = { "Content-Type": "application/json" };
  const response = await request(url, { method: "POST", headers, body: JSON.stringify(content) });
  /** @type {unknown} */
  const answer = await response.json();
  return /** @type {T} */ (answer);
}

/**
 * @param {string} url
 * @param {{ method?: string, headers?: Record<string, string>, body?: string }} [options]
 */
async function request(url, { headers = {}, ...options } = {}) {
  const bearer = token();
  const response = await fetch(url, {
    ...options,
    signal: AbortSignal.timeout(TIMEOUT),
    headers: { ...headers, ...(bearer && { Authorization: `Bearer ${bearer}` }) },
  });
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** @param {Parameters} parameters */
function query(parameters) {
  const set = Object.entries(parameters).flatMap(([name, value]) => (value ? [[name, String(value)]] : []));
  return set.length ? `?${new URLSearchParams(set)}` : "";
}
